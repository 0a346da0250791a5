"""A small site in Bottle; its sessions are signed cookies."""

import time

import bottle
from bottle import request, response

app = bottle.Bottle(catchall=False)
SECRET = "for tests"


@app.post("/form")
def form():
    fields = request.forms.decode()
    return {name: fields.getall(name) for name in fields}


@app.get("/count")
def count():
    number = request.get_cookie("count", 0, secret=SECRET) + 1
    response.set_cookie("count", number, secret=SECRET)
    return str(number)


@app.post("/upload")
def upload():
    file = request.files["file"]
    return {"name": file.raw_filename, "size": len(file.file.read()), "word": request.forms["word"]}


@app.get("/stream")
def stream():
    response.content_type = "text/plain"
    for number in range(3):
        yield "%s %d\n" % (request.query.decode()["word"], number)
        time.sleep(0.2)


@app.get("/there")
def there():
    bottle.redirect("/count", 302)


@app.get("/boom")
def boom():
    raise LookupError("nobody is there")
