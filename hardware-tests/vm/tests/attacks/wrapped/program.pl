# A program with a secret: says whether it has the right one, and sends it when it is told to.
$| = 1;
# Backwards, so that nobody finds it in this program's own text.
my $right = "elpats-yrettab-esroh-tcerroc";
print "pid $$ of ", getppid, "\n";
print defined $ENV{PGPASSWORD} && reverse($ENV{PGPASSWORD}) eq $right ? "right\n" : "wrong\n";
until (-e "/run/app/stop") {
    if (unlink "/run/app/send") {
        open my $file, ">", "/run/app/sent" or die;
        my $wrote = syswrite $file, "password: $ENV{PGPASSWORD}\n";
        my $why = $!;
        print "file: ", defined $wrote ? "sent" : $why, "\n";
        # AF_UNIX, SOCK_STREAM
        socketpair my $near, my $far, 1, 1, 0 or die;
        $wrote = send $near, "password: $ENV{PGPASSWORD}\n", 0;
        $why = $!;
        print "socket: ", defined $wrote ? "sent" : $why, "\n";
    }
    select undef, undef, undef, 0.1;
}
print "over\n";
