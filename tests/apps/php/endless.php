<?php
// Writes until the client has gone, then leaves the file that `mark` names.
register_shutdown_function(fn() => file_put_contents($_GET['mark'], connection_aborted() ? 'aborted' : 'whole'));
for ($i = 0; $i < 2000; $i++) {
    echo str_repeat('x', 1024);
    flush();
    usleep(5000);
}
