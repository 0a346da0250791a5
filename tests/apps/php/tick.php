<?php
// Sends a line at once, and another when the file that `gate` names exists.
echo "first\n";
flush();
for ($i = 0; $i < 1000 && !file_exists($_GET['gate']); $i++) {
    usleep(10000);
    clearstatcache();
}
echo "second\n";
