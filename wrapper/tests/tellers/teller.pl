$| = 1;
print "ready\n";
while (<STDIN>) {
    my ($sum, $place) = (0, 0);
    $sum += ++$place * ord for split //, $ENV{PASSWORD};
    print $sum % 65521, "\n";
}
