# Root, outside: looks for the secret in the memory of a process, and attaches a debugger to it.
my $pid = shift() + 0;
my $secret = reverse "elpats-yrettab-esroh-tcerroc";

sub memory {
    open my $maps, "<", "/proc/$pid/maps" or return "$!";
    open my $memory, "<:raw", "/proc/$pid/mem" or return "$!";
    while (<$maps>) {
        next unless /^([0-9a-f]+)-([0-9a-f]+) rw/;
        my ($from, $to) = (hex $1, hex $2);
        sysseek $memory, $from, 0 or next;
        my $read = sysread $memory, my $bytes, $to - $from;
        return "found" if defined $read && index($bytes, $secret) >= 0;
    }
    return "nothing";
}

sub environment {
    open my $file, "<", "/proc/$pid/environ" or return "$!";
    return defined <$file> ? "read" : "$!";
}

# PTRACE_ATTACH, PTRACE_DETACH; __WALL
sub debugger {
    return "$!" if syscall(101, 16, $pid, 0, 0) != 0;
    waitpid $pid, 0x40000000;
    syscall 101, 17, $pid, 0, 0;
    return "attached";
}

print "memory: ", memory(), "\nenviron: ", environment(), "\nptrace: ", debugger(), "\n";
