<?php
error_log('told to the error log');
echo $undefined;
echo 'answered';
