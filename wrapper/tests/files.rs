//! Files that are not there, through the whole wrapper and real programs: who reads them, how they look, and what
//! root gets.
#![expect(unsafe_code, reason = "the thefts are system calls that no safe interface has")]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod bench;
#[expect(dead_code, reason = "other test programs use the rest")]
mod stage;
#[expect(dead_code, reason = "other test programs use the rest")]
mod theft;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use bench::{Bench, CANARY, installed, skip};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, geteuid, pidfd_getfd, pidfd_open};
use stage::{Answer, Stage};

const FILE: &str = "/run/cloudtaser/secrets/DB_PASSWORD_FILE";

/// Nearly all that a secret can hold, and more than a socket does.
static LARGE: [u8; 1_000_000] = [b'x'; 1_000_000];
static LARGE_FIELDS: &[(&str, &[u8])] = &[("password", &LARGE), ("user", b"app")];

fn wrapper(stage: &Stage, program: &str, arguments: &[&str]) -> Command {
    let mut wrapper = stage.wrapper(program, arguments);
    wrapper.env("CLOUDTASER_ENV_MAP", "password=@DB_PASSWORD_FILE,user=PGUSER");
    wrapper
}

fn run(program: &str, arguments: &[&str]) -> Output {
    wrapper(&Stage::new(vec![Answer::Release]), program, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// What a program wrote; it must have ended well.
fn says(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    assert!(output.status.success(), "{program}: {} {}", output.status, text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn ordinary_programs_read_a_file_that_is_not_there() {
    let programs: [(&str, &[&str]); 17] = [
        ("cat", &[FILE]),
        ("bash", &["-c", "echo \"$(< \"$DB_PASSWORD_FILE\")\""]),
        ("dash", &["-c", "read value < $DB_PASSWORD_FILE; echo $value"]),
        ("ksh", &["-c", "echo \"$(< $DB_PASSWORD_FILE)\""]),
        ("zsh", &["-c", "echo \"$(< $DB_PASSWORD_FILE)\""]),
        ("busybox", &["cat", FILE]),
        ("python3", &["-c", "import os; print(open(os.environ['DB_PASSWORD_FILE']).read())"]),
        ("perl", &["-e", "open my $file, '<', $ENV{DB_PASSWORD_FILE} or die; print <$file>"]),
        ("ruby", &["-e", "print File.read(ENV['DB_PASSWORD_FILE'])"]),
        ("php", &["-r", "print file_get_contents(getenv('DB_PASSWORD_FILE'));"]),
        ("lua5.4", &["-e", "print(io.open(os.getenv('DB_PASSWORD_FILE')):read('a'))"]),
        ("node", &["-e", "console.log(fs.readFileSync(process.env.DB_PASSWORD_FILE, 'utf8'))"]),
        ("awk", &["{ print }", FILE]),
        ("sed", &["", FILE]),
        ("head", &["-c", "100", FILE]),
        ("dd", &["status=none", "if=/run/cloudtaser/secrets/DB_PASSWORD_FILE"]),
        ("sh", &["-c", "tr x x < $DB_PASSWORD_FILE"]),
    ];
    for (program, arguments) in programs {
        if installed(program) {
            assert_eq!(says(program, arguments), CANARY, "{program}");
        } else {
            skip("ordinary_programs_read_a_file_that_is_not_there", program, "not installed");
        }
    }
}

#[test]
fn compiled_programs_read_it_too() {
    let bench = Bench::new();
    let source = r#"
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  char line[100];
  FILE *file = fopen(getenv("DB_PASSWORD_FILE"), "re");
  if (!file || !fgets(line, sizeof line, file)) return 1;
  puts(line);
  return 0;
}
"#;
    for flags in [&[][..], &["-static"]] {
        let Some(program) = bench.compiled("reader", source, flags) else {
            return skip("compiled_programs_read_it_too", "cc", "no C compiler");
        };
        assert_eq!(says(&program, &[]), CANARY, "{flags:?}");
    }
}

#[test]
fn go_reads_it_whole_and_by_pieces() {
    let bench = Bench::new();
    let source = r#"
package main
import ("fmt"; "io"; "os")
func main() {
	whole, err := os.ReadFile(os.Getenv("DB_PASSWORD_FILE"))
	fmt.Println(string(whole), err)
	file, err := os.Open(os.Getenv("DB_PASSWORD_FILE"))
	pieces, _ := io.ReadAll(file)
	fmt.Println(string(pieces), err)
}
"#;
    fs::write(bench.path("reader.go"), source).unwrap();
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(bench.path("reader")).arg(bench.path("reader.go"));
    if !go.env("CGO_ENABLED", "0").status().is_ok_and(|status| status.success()) {
        return skip("go_reads_it_whole_and_by_pieces", "go", "no Go compiler");
    }
    let expected = format!("{CANARY} <nil>\n{CANARY} <nil>");
    assert_eq!(says(bench.path("reader").to_str().unwrap(), &[]), expected);
}

#[test]
fn java_reads_it_by_what_does_not_seek() {
    if !installed("java") {
        return skip("java_reads_it_by_what_does_not_seek", "java", "no Java");
    }
    let bench = Bench::new();
    let source = r#"
import java.io.*;
import java.nio.file.*;
class Reader {
  public static void main(String[] arguments) throws Exception {
    String file = System.getenv("DB_PASSWORD_FILE");
    System.out.println(Files.readString(Path.of(file)).strip());
    try (var reader = new BufferedReader(new FileReader(file))) { System.out.println(reader.readLine()); }
    System.out.println(Files.exists(Path.of(file)) + " " + new File(file).canRead());
  }
}
"#;
    fs::write(bench.path("Reader.java"), source).unwrap();
    let expected = format!("{CANARY}\n{CANARY}\ntrue true");
    assert_eq!(says("java", &[bench.path("Reader.java").to_str().unwrap()]), expected);
}

/// As the entrypoints of many images do it.
#[test]
fn an_entrypoint_that_looks_before_it_reads_finds_what_it_looks_for() {
    let script = r#"
set -eu
[ -e "$DB_PASSWORD_FILE" ] && [ -f "$DB_PASSWORD_FILE" ] && [ -r "$DB_PASSWORD_FILE" ] && [ -s "$DB_PASSWORD_FILE" ]
[ ! -L "$DB_PASSWORD_FILE" ] && [ ! -d "$DB_PASSWORD_FILE" ] && [ ! -x "$DB_PASSWORD_FILE" ]
[ ! -e /run/cloudtaser/secrets/OTHER ] && [ ! -e "$DB_PASSWORD_FILE/x" ]
read -r value < "$DB_PASSWORD_FILE" || [ -n "$value" ]
export DB_PASSWORD="$value"
unset DB_PASSWORD_FILE
exec perl -e 'print $ENV{DB_PASSWORD}'
"#;
    for shell in ["bash", "dash", "ksh", "zsh"].into_iter().filter(|shell| installed(shell)) {
        assert_eq!(says(shell, &["-c", script]), CANARY, "{shell}");
    }
}

#[test]
fn a_file_looks_like_one_that_its_reader_owns() {
    let own = format!("{} {} 400", geteuid().as_raw(), rustix::process::getegid().as_raw());
    let looked = says("stat", &["-c", "%u %g %a %s %h %F", FILE]);
    assert_eq!(looked, format!("{own} {} 1 regular file", CANARY.len()));
    let script = "import os, sys; f = os.environ['DB_PASSWORD_FILE']; \
        print(os.path.isfile(f), os.path.getsize(f), os.access(f, os.R_OK), os.access(f, os.W_OK))";
    if installed("python3") {
        assert_eq!(says("python3", &["-c", script]), format!("True {} True False", CANARY.len()));
    }
}

#[test]
fn a_file_cannot_be_written_replaced_or_run() {
    let script = format!(
        "echo x > {FILE} || echo no-write; echo x >> {FILE} || echo no-append; {FILE} || echo no-run; \
         mv /etc/hostname {FILE} || echo no-move; rm {FILE} || echo no-remove; cat {FILE}"
    );
    let output = run("sh", &["-c", &script]);
    let expected = format!("no-write\nno-append\nno-run\nno-move\nno-remove\n{CANARY}");
    assert_eq!(text(&output.stdout), expected);
    assert_eq!(text(&output.stderr).matches("Permission denied").count(), 2, "{}", text(&output.stderr));
}

#[test]
fn other_files_are_what_they_were() {
    let script = "cat /etc/hostname; [ -r /etc/hostname ]; cat /run/cloudtaser/secrets/OTHER; echo $?; cat /run/cloudtaser/secrets; echo $?";
    let output = run("sh", &["-c", script]);
    let hostname = fs::read_to_string("/etc/hostname").unwrap();
    assert_eq!(text(&output.stdout), format!("{}\n1\n1", hostname.trim_end()));
    assert_eq!(text(&output.stderr).matches("No such file or directory").count(), 2);
}

#[test]
fn a_value_larger_than_a_socket_arrives_whole() {
    let stage = Stage::new(vec![Answer::Fields(LARGE_FIELDS)]);
    let script = format!(
        "for i in 1 2 3 4; do wc -c < {FILE} & done; wait; head -c 5 {FILE}; tr -d x < {FILE} | wc -c"
    );
    let output = wrapper(&stage, "sh", &["-c", &script]).output().unwrap();
    assert_eq!(text(&output.stdout), format!("{}xxxxx0", "1000000\n".repeat(4)));
}

#[test]
fn a_file_may_hold_what_no_variable_can() {
    let stage = Stage::new(vec![Answer::Fields(&[("password", b"a\0b\n\xff"), ("user", b"app")])]);
    let output = wrapper(&stage, "od", &["-An", "-c", FILE]).output().unwrap();
    assert_eq!(text(&output.stdout), "   a  \\0   b  \\n 377");
    let stage = Stage::new(vec![Answer::Fields(&[("password", b""), ("user", b"app")])]);
    let output = wrapper(&stage, "cat", &[FILE]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(0), vec![]), "an empty value is an empty file");
}

#[test]
fn two_hundred_processes_open_it_at_once() {
    let script = format!("for i in $(seq 200); do cat {FILE} & done; wait");
    assert_eq!(says("bash", &["-c", &script]), CANARY.repeat(200));
}

#[test]
fn threads_open_it_at_once() {
    if !installed("python3") {
        return skip("threads_open_it_at_once", "python3", "not installed");
    }
    let script = "import os, concurrent.futures as futures\n\
        read = lambda _: open(os.environ['DB_PASSWORD_FILE']).read()\n\
        with futures.ThreadPoolExecutor(64) as pool: print(*set(pool.map(read, range(1000))))";
    assert_eq!(says("python3", &["-c", script]), CANARY);
}

#[test]
fn readers_that_are_killed_in_the_middle_harm_nobody() {
    let script = format!(
        "for i in $(seq 100); do cat {FILE} > /dev/null & kill -9 $!; done; wait; \
         for i in $(seq 20); do (while :; do : < {FILE}; done) & done; sleep 0.3; kill -9 $(jobs -p); wait; cat {FILE}"
    );
    assert_eq!(says("bash", &["-c", &script]), CANARY);
}

#[test]
fn a_signal_while_a_file_is_opened_is_no_error() {
    if !installed("python3") {
        return skip("a_signal_while_a_file_is_opened_is_no_error", "python3", "not installed");
    }
    // As Go's runtime interrupts its own threads.
    let script = "import os, signal\n\
        signal.signal(signal.SIGALRM, lambda *_: None)\n\
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)\n\
        read = {open(os.environ['DB_PASSWORD_FILE']).read() for _ in range(2000)}\n\
        signal.setitimer(signal.ITIMER_REAL, 0)\n\
        print(*read)";
    assert_eq!(says("python3", &["-c", script]), CANARY);
}

#[test]
fn a_program_that_has_become_another_user_reads_it() {
    if !geteuid().is_root() || !installed("setpriv") {
        return skip(
            "a_program_that_has_become_another_user_reads_it",
            "root",
            "only root becomes another user",
        );
    }
    let other = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let script = format!("cat {FILE}; stat -c ' %u %g' {FILE}");
    let arguments: Vec<&str> = other.iter().copied().chain(["sh", "-c", &script]).collect();
    assert_eq!(says("setpriv", &arguments), format!("{CANARY} 65534 65534"));
    // And so where we may not look into whom we like, as in most containers.
    let stage = Stage::new(vec![Answer::Release]);
    let inner = wrapper(&stage, "setpriv", &arguments);
    let mut outer = Command::new("setpriv");
    outer
        .args(["--bounding-set=-sys_ptrace", "--inh-caps=-all"])
        .arg(inner.get_program())
        .args(inner.get_args());
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = outer.output().unwrap();
    assert_eq!(text(&output.stdout), format!("{CANARY} 65534 65534"), "{}", text(&output.stderr));
}

/// A program that holds the file open, has read nothing, and says its number and the descriptor's.
struct Holder {
    wrapper: std::process::Child,
    _stage: Stage,
    pid: i32,
    descriptor: i32,
}

impl Holder {
    fn start() -> Self {
        let stage = Stage::new(vec![Answer::Release]);
        let script = "open my $file, '<', $ENV{DB_PASSWORD_FILE} or die; $| = 1; \
            print \"$$ \", fileno($file), \"\\n\"; sleep 60";
        let mut command = wrapper(&stage, "perl", &["-e", script]);
        let mut wrapper = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(wrapper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (pid, descriptor) = line.trim().split_once(' ').unwrap();
        let [pid, descriptor] = [pid, descriptor].map(|number| number.parse().unwrap());
        Self { wrapper, _stage: stage, pid, descriptor }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let wrapper = Pid::from_child(&self.wrapper);
        rustix::process::kill_process(wrapper, rustix::process::Signal::TERM).unwrap();
        self.wrapper.wait().unwrap();
    }
}

#[test]
fn root_opens_no_descriptor_of_the_program_and_finds_no_value_in_either_process() {
    if !geteuid().is_root() {
        return skip("root_opens_no_descriptor_of_the_program", "root", "root is the thief");
    }
    let holder = Holder::start();
    let path = format!("/proc/{}/fd/{}", holder.pid, holder.descriptor);
    assert_eq!(fs::File::open(&path).unwrap_err().raw_os_error(), Some(libc::ENXIO));
    assert!(fs::read_link(&path).unwrap().to_str().unwrap().starts_with("socket:"));
    let environ = fs::read_to_string(format!("/proc/{}/environ", holder.pid)).unwrap();
    assert!(
        environ.contains(&format!("DB_PASSWORD_FILE={FILE}\0")) && !environ.contains(CANARY),
        "{environ}"
    );
    for pid in [holder.pid, theft::parent(holder.pid)] {
        assert!(!theft::whole_memory_holds(pid, CANARY), "{pid}");
    }
    assert!(!fs::exists(FILE).unwrap(), "there is no such file for others");
}

/// Known, and said in the documentation: who may attach a debugger to the program may take its descriptors.
#[test]
fn root_that_takes_the_descriptor_itself_reads_what_the_program_has_not() {
    if !geteuid().is_root() {
        return skip("root_that_takes_the_descriptor_itself", "root", "root is the thief");
    }
    let holder = Holder::start();
    let process = pidfd_open(Pid::from_raw(holder.pid).unwrap(), PidfdFlags::empty()).unwrap();
    let taken = pidfd_getfd(&process, holder.descriptor, PidfdGetfdFlags::empty()).unwrap();
    let mut value = String::new();
    fs::File::from(taken).read_to_string(&mut value).unwrap();
    assert_eq!(value, CANARY);
}

#[test]
fn the_program_has_no_way_to_answer_for_us() {
    let output = says("ls", &["-l", "/proc/self/fd"]);
    assert!(!output.contains("seccomp"), "{output}");
}

/// A seccomp filter that lets nobody install one that asks, as a strict profile does.
fn refuse_listeners() -> std::io::Result<()> {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code.try_into().unwrap(), jt, jf, k };
    let listener = u32::try_from(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).unwrap();
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 3, libc::SYS_seccomp.try_into().unwrap()),
        // The lower half of the second argument.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 24),
        statement(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, listener),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    rustix::thread::set_no_new_privs(true)?;
    let filter = libc::sock_fprog { len: 6, filter: program.as_mut_ptr() };
    // SAFETY: `filter` describes `program`, which outlives the call.
    let code = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    if code == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn where_questions_are_refused_the_program_is_not_started() {
    let stage = Stage::new(vec![Answer::Release]);
    let mut command = wrapper(&stage, "echo", &["started"]);
    // SAFETY: between fork and exec the function makes system calls alone.
    unsafe { command.pre_exec(refuse_listeners) };
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(123), ""));
    let told = text(&output.stderr);
    assert!(
        told.contains(
            "files cannot be served: seccomp user notification is refused (Operation not permitted"
        ),
        "{told}"
    );
    // Who wants no file does not need them.
    let stage = Stage::new(vec![Answer::Release]);
    let mut command = stage.wrapper("echo", &["started"]);
    // SAFETY: as above.
    unsafe { command.pre_exec(refuse_listeners) };
    assert_eq!(text(&command.output().unwrap().stdout), "started");
}

#[test]
fn where_another_answers_already_the_program_is_not_started() {
    let stage = Stage::new(vec![Answer::Release, Answer::Release]);
    let inner = env!("CARGO_BIN_EXE_cloudtaser-wrapper");
    let output = wrapper(&stage, inner, &["--", "echo", "started"]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(123), ""));
    assert!(text(&output.stderr).contains("refused (Device or resource busy"), "{}", text(&output.stderr));
}

/// The keeper waits for a program to begin, and answers nobody meanwhile: who looks for it must not ask.
#[test]
fn programs_that_cannot_be_run_are_told_as_ever() {
    let bench = Bench::new();
    let no_interpreter = bench.script("no-interpreter", "#!/nonexistent/interpreter\n");
    let no_mark = bench.script("no-mark", "cat $DB_PASSWORD_FILE\n");
    for (program, code) in [("nonexistent-program", 127), ("/etc/passwd", 126), (&no_interpreter, 127)] {
        let output = run(program, &[]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{}", text(&output.stderr));
    }
    assert_eq!(says(&no_mark, &[]), CANARY);
}

#[test]
fn without_a_supervisor_nobody_would_answer() {
    let stage = Stage::new(vec![]);
    let mut command = wrapper(&stage, "echo", &["started"]);
    let output = command.env("CLOUDTASER_SUPERVISE", "false").output().unwrap();
    assert_eq!(text(&output.stdout), "");
    let expected = "CLOUDTASER_SUPERVISE: false leaves nobody who could answer; expected no FIELD=@VARIABLE in CLOUDTASER_ENV_MAP";
    assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
}
