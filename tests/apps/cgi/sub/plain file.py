# Not executable and without a first line: the interpreter is the table's matter.
import os
import sys

print("Content-Type: text/plain")
print()
print(sys.argv[0], os.getcwd(), os.environ["SCRIPT_NAME"], os.environ["PATH_INFO"], sep="\n")
