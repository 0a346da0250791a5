<?php
header('X-Accel-Redirect: /protected/' . rawurlencode($_GET['name']));
header('Content-Disposition: attachment');
header_remove('Content-Type');
ini_set('default_mimetype', '');
echo str_repeat('own body ', 20000);
