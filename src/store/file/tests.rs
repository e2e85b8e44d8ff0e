use super::*;
use crate::store::testing::TemporaryFile;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

const TIMEOUT: Duration = Duration::from_secs(20);

fn item(sort: &str, version: u64) -> Item {
    Item { key: Key::new("p", sort), version, expires: None, body: Bytes::from(vec![7; 10_000]) }
}

fn problem(path: &Path) -> (FileProblem, String) {
    let error = FileStore::open(path).unwrap_err();
    let text = error.to_string();
    (error.problem, text)
}

#[tokio::test]
async fn keeps_its_items_when_it_is_opened_again() {
    let file = TemporaryFile::new();
    for version in 1..4 {
        let store = FileStore::open(file.path()).unwrap();
        store.put(item(&version.to_string(), version), TIMEOUT).await.unwrap();
    }
    let page = FileStore::open(file.path()).unwrap().query(&Range::all("p"), None).await.unwrap();
    assert_eq!(page.items, [item("1", 1), item("2", 2), item("3", 3)]);
}

#[tokio::test]
async fn deletes_what_has_expired() {
    let file = TemporaryFile::new();
    let store = FileStore::open(file.path()).unwrap();
    for (sort, expires) in [("a", None), ("b", Some(99)), ("c", Some(100)), ("d", Some(98))] {
        store.put(Item { expires, ..item(sort, 1) }, TIMEOUT).await.unwrap();
    }
    assert_eq!(store.delete_expired(100).await, Ok(2));
    let page = store.query(&Range::all("p"), None).await.unwrap();
    assert_eq!(page.items.iter().map(|item| item.key.sort.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn refuses_a_file_that_is_in_use_newer_foreign_or_out_of_reach() {
    let file = TemporaryFile::new();
    let store = FileStore::open(file.path()).unwrap();
    let (found, text) = problem(file.path());
    assert!(matches!(found, FileProblem::InUse) && text.contains("another process uses"), "{text}");
    let transaction = store.database.begin_write().unwrap();
    transaction.open_table(ABOUT).unwrap().insert(FORMAT_KEY, FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let (found, text) = problem(file.path());
    assert!(matches!(found, FileProblem::NewerFormat { found: 2 }) && text.contains("newer version"), "{text}");

    for content in ["not a database".to_owned(), "x".repeat(100_000)] {
        let file = TemporaryFile::new();
        std::fs::write(file.path(), &content).unwrap();
        let (found, text) = problem(file.path());
        assert!(matches!(found, FileProblem::Damaged(_)), "{text}");
        assert_eq!(std::fs::read(file.path()).unwrap(), content.as_bytes());
    }
    let (found, text) = problem(Path::new("/nonexistent/state"));
    assert!(matches!(found, FileProblem::Io(_)) && text.contains("/nonexistent/state"), "{text}");
}

#[test]
fn reports_a_damaged_file_and_never_panics() {
    let file = TemporaryFile::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = FileStore::open(file.path()).unwrap();
    for version in 0..30 {
        runtime.block_on(store.put(item(&version.to_string(), version), TIMEOUT)).unwrap();
    }
    drop(store);
    let whole = std::fs::read(file.path()).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        if random.bool() {
            bytes.truncate(random.usize(..bytes.len()));
        } else {
            for _ in 0..random.usize(1..200) {
                let position = random.usize(..bytes.len());
                bytes[position] = random.u8(..);
            }
        }
        let damaged = TemporaryFile::new();
        std::fs::write(damaged.path(), &bytes).unwrap();
        if let Ok(store) = FileStore::open(damaged.path()) {
            let _page_or_error = runtime.block_on(store.query(&Range::all("p"), None));
            let _done_or_error = runtime.block_on(store.put(item("new", 1), TIMEOUT));
        }
    }
}

/// The child of the next test: it puts items, and prints the version of each that was answered.
#[test]
#[ignore = "runs in the next test alone"]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os("STATE_OF_CHILD") else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = Arc::new(FileStore::open(Path::new(&path)).unwrap());
    for writer in 0..4_u64 {
        let store = store.clone();
        runtime.spawn(async move {
            for number in 0.. {
                let item = Item { key: Key::new(writer.to_string(), "head"), ..item("", number) };
                let expected = (number > 0).then(|| number - 1);
                assert_eq!(store.replace(item, expected).await, Ok(Replaced::Done));
                let journal = Item { key: Key::new("j", format!("{writer}-{number:09}")), ..self::item("", number) };
                store.put(journal, TIMEOUT).await.unwrap();
                writeln!(std::io::stdout(), "answered {writer} {number}").unwrap();
            }
        });
    }
    std::thread::sleep(Duration::from_mins(1));
}

#[test]
fn loses_nothing_that_was_answered_when_its_process_is_killed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for lines in [1, 40, 150] {
        let file = TemporaryFile::new();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "store::file::tests::child_that_is_killed"])
            .env("STATE_OF_CHILD", file.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answered = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut answered: Vec<_> = answered.by_ref().filter_map(|line| parse(&line)).take(lines).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answered.len(), lines);
        answered.sort_unstable();
        let store = FileStore::open(file.path()).unwrap();
        for (writer, number) in answered {
            let journal = Key::new("j", format!("{writer}-{number:09}"));
            let found = runtime.block_on(store.get(&journal)).unwrap();
            assert_eq!(found.map(|item| item.body), Some(item("", 0).body), "{journal}");
            let head = runtime.block_on(store.get(&Key::new(writer.to_string(), "head"))).unwrap().unwrap();
            assert!(head.version >= number, "{head:?}");
        }
    }
}

fn parse(line: &str) -> Option<(u64, u64)> {
    let (writer, number) = line.split_once("answered ")?.1.split_once(' ')?;
    Some((writer.parse().ok()?, number.parse().ok()?))
}
