<?php
// Answers with proof of its request: its id, the digest of its body, then as much as it asks for.
$id = $_GET["id"] ?? "";
$size = (int) ($_GET["size"] ?? 0);
$ticks = (int) ($_GET["ticks"] ?? 0);
header("Content-Type: text/plain");
header("X-Proof: $id");
echo $id, " ", hash("sha256", file_get_contents("php://input")), "\n";
for ($tick = 1; $tick <= $ticks; $tick++) {
    echo $id, " ", $tick, "\n";
    flush();
    usleep(20000);
}
if ($size > 0) {
    echo substr(str_repeat($id, intdiv($size, strlen($id)) + 1), 0, $size);
}
