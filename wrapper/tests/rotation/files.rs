//! A value is changed in OpenBao: who opens its file, or asks the local socket, from then on gets the new one.

use crate::openbao::OpenBao;

/// Writes what the file says, and when it was changed, whenever that is something else.
const FILE: &str = "import os, time
last, changed = '', 0
while True:
    value = open(os.environ['PASSWORD']).read()
    now = os.stat(os.environ['PASSWORD'])
    if value != last:
        later = 'later' if now.st_mtime > changed else 'not later'
        open(os.environ['SEEN'], 'a').write(f'{value} {now.st_size} {later}\\n')
        last, changed = value, now.st_mtime
    time.sleep(0.05)";

/// Writes what the socket says, whenever it is something else.
const SOCKET: &str = "import http.client, os, socket, time
class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ['CLOUDTASER_SOCKET'].replace('@', '\\0'))
last = ''
while True:
    local = Local('local')
    local.request('GET', '/v1/secrets/PASSWORD')
    value = local.getresponse().read().decode()
    if value != last:
        open(os.environ['SEEN'], 'a').write(value + '\\n')
        last = value
    time.sleep(0.05)";

/// A hook is of the program's kind: it finds files too.
#[test]
fn an_open_after_a_rotation_gives_the_new_value() {
    let Some(bao) = OpenBao::start("an_open_after_a_rotation") else { return };
    let variables = [
        ("CLOUDTASER_ENV_MAP", "password=@PASSWORD"),
        ("CLOUDTASER_ROTATION_STRATEGY", "exec"),
        ("CLOUDTASER_ROTATION_HOOK", "cp --no-preserve=all /etc/passwd /dev/null"),
    ];
    let wrapper = bao.wrapper("root", &variables, &["python3", "-c", FILE]);
    wrapper.sees(&["one 3 later"]);
    bao.put("second");
    wrapper.sees(&["one 3 later", "second 6 later"]);
}

#[test]
fn a_program_that_is_started_anew_finds_its_files() {
    let Some(bao) = OpenBao::start("a_program_that_is_started_anew_finds_its_files") else { return };
    let wrapper =
        bao.wrapper("root", &[("CLOUDTASER_ENV_MAP", "password=@PASSWORD")], &["python3", "-c", FILE]);
    wrapper.sees(&["one 3 later"]);
    bao.put("second");
    wrapper.sees(&["one 3 later", "second 6 later"]);
    wrapper.says("the program is started anew");
}

#[test]
fn the_socket_gives_the_new_value() {
    let Some(bao) = OpenBao::start("the_socket_gives_the_new_value") else { return };
    let name = format!("@cloudtaser-rotation-{}", std::process::id());
    let variables = [("CLOUDTASER_SOCKET", name.as_str()), ("CLOUDTASER_ROTATION_STRATEGY", "sighup")];
    let script = format!("import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n{SOCKET}");
    let wrapper = bao.wrapper("root", &variables, &["python3", "-c", &script]);
    wrapper.sees(&["one"]);
    bao.put("second");
    wrapper.sees(&["one", "second"]);
}
