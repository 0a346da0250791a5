<?php
// Everything that PHP was told of the request, as JSON.
$files = [];
foreach ($_FILES as $name => $file) {
    $files[$name] = [
        'name' => $file['name'],
        'size' => $file['size'],
        'sha1' => $file['error'] === 0 ? sha1_file($file['tmp_name']) : "error {$file['error']}",
    ];
}
$input = file_get_contents('php://input');
header('Content-Type: application/json');
echo json_encode([
    'server' => $_SERVER,
    'get' => $_GET,
    'post' => $_POST,
    'files' => $files,
    'input' => ['length' => strlen($input), 'sha1' => sha1($input)],
    'pid' => getmypid(),
    'sockets' => array_values(array_filter(
        array_map('strval', array_map(fn($fd) => @readlink("/proc/self/fd/$fd"), range(3, 30))),
        fn($to) => str_starts_with($to, 'socket:'),
    )),
], JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
