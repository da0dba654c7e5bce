<?php
echo "ready\n";
while (fgets(STDIN) !== false) {
    $value = getenv("PASSWORD");
    $sum = 0;
    for ($i = 0; $i < strlen($value); $i++) {
        $sum += ($i + 1) * ord($value[$i]);
    }
    echo $sum % 65521, "\n";
}
