"""A terminal, a shell with job control, and a job in it: terminal.py CASE PROGRAM [ARGUMENT ...] says how it went."""

import os
import pty
import select
import signal
import sys
import time

LIMIT = 4.0


class Terminal:
    """The end of a person: what is shown, and keys. `reports` is what the shell learns of its job."""

    def __init__(self, words, foreground):
        reports, tell = os.pipe()
        orders, give = os.pipe()
        shell, self.master = pty.fork()
        if shell == 0:
            os.close(reports)
            os.close(give)
            play_shell(words, foreground, tell, orders)
        os.close(tell)
        os.close(orders)
        self.shell, self.reports, self.orders, self.shown = shell, reports, give, ""

    def shows(self, text):
        end = time.monotonic() + LIMIT
        while text not in self.shown:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                return False
            try:
                self.shown += os.read(self.master, 4096).decode()
            except OSError:
                return text in self.shown
        return True

    def keys(self, text):
        os.write(self.master, text)

    def order(self, word):
        os.write(self.orders, word)

    def report(self, limit=LIMIT):
        if not select.select([self.reports], [], [], limit)[0]:
            return "nothing"
        return os.read(self.reports, 100).decode()


def play_shell(words, foreground, tell, orders):
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    own = os.getpgrp()
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        if foreground:
            os.tcsetpgrp(0, os.getpid())
        # Whoever runs the tests in the background may have had the others ignored.
        for number in [signal.SIGTTOU, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]:
            signal.signal(number, signal.SIG_DFL)
        os.execvp(words[0], words)
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            os.tcsetpgrp(0, own)
            os.write(tell, b"stopped")
            os.read(orders, 1)
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
            continue
        # The init of a namespace cannot die of a signal: its code says it.
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        os.write(tell, b"ended %d" % code)
        os.read(orders, 1)
        os._exit(0)


def perl(text):
    return ["perl", "-MPOSIX", "-e", "$| = 1; " + text]


def foreground(init):
    program = perl("print tcgetpgrp(0) == getpgrp() ? 'its own' : 'another', ' group'")
    terminal = Terminal(init + program, True)
    terminal.shows("group")
    return terminal.shown.strip()


def interrupt(init):
    terminal = Terminal(init + perl("print 'ready'; sleep 60"), True)
    terminal.shows("ready")
    terminal.keys(b"\x03")
    return terminal.report()


def stop_and_go_on(init):
    terminal = Terminal(init + perl("print 'ready'; print 'got ', scalar <STDIN>"), True)
    terminal.shows("ready")
    terminal.keys(b"\x1a")
    seen = terminal.report()
    if seen != "stopped":
        return "stop: " + seen
    terminal.order(b".")
    time.sleep(0.2)
    terminal.keys(b"a line\n")
    if not terminal.shows("got a line"):
        return "stopped, and did not read on"
    return "stopped, read on, " + terminal.report()


def background(init):
    terminal = Terminal(init + perl("$SIG{TTIN} = sub { print 'kept out'; select undef, undef, undef, 0.3; exit 5 }; print tcgetpgrp(0) == getpgrp() ? 'took it' : 'ready'; <STDIN>"), False)
    terminal.shows("ready")
    terminal.shows("kept out")
    return terminal.shown.replace("ready", "").strip() + ", " + terminal.report()


def hang_up(init):
    mark, write = os.pipe()
    os.set_inheritable(write, True)
    program = perl("open M, '>&=', %d; $SIG{HUP} = sub { syswrite M, 'hung up'; exit }; print 'ready'; sleep 60 while 1" % write)
    terminal = Terminal(init + program, True)
    os.close(write)
    terminal.shows("ready")
    os.close(terminal.master)
    if not select.select([mark], [], [], LIMIT)[0]:
        return "nothing"
    return os.read(mark, 100).decode()


CASES = {"foreground": foreground, "interrupt": interrupt, "stop": stop_and_go_on, "background": background, "hang-up": hang_up}

if __name__ == "__main__":
    print(CASES[sys.argv[1]](sys.argv[2:]))
    sys.stdout.flush()
    os._exit(0)
