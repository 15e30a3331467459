//! Stories of names: several commands at once, other grids, damage.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tarn_client::caps::WriteCap;
use tarn_client::grid::GridServer;
use tarn_client::suspects::{Heard, Suspects};
use tarn_proto::{SequenceNumber, Shape, StoreId, VersionId, Window};
use zeroize::Zeroizing;

use super::*;

mod journal;

const NOW: UnixSeconds = UnixSeconds::new(1_700_000_000);

fn names() -> (tempfile::TempDir, Names) {
    let folder = tempfile::tempdir().unwrap();
    let names = Names::open(folder.path()).unwrap();
    (folder, names)
}

/// A grid of stores `first` to `first` + 2.
fn grid(first: u8) -> Grid {
    let server = |number: u8| {
        let address = format!("localhost:{}", 4000 + u16::from(number));
        GridServer::new(StoreId::new([number; 16]), address.parse().unwrap())
    };
    Grid::new((first..first + 3).map(server).collect()).unwrap()
}

fn on<'a>(label: &'a str, grid: &'a Grid) -> InUse<'a> {
    InUse { label, grid }
}

fn cap(seed: u8) -> WriteCap {
    WriteCap::from_secret(Zeroizing::new([seed; 32]))
}

/// A file whose window is the stores of `grid`.
fn new_file(seed: u8, grid: &Grid) -> NewFile {
    let stores = grid.servers().iter().map(|server| server.store).collect();
    NewFile { cap: cap(seed), window: Some(Window::new(stores).unwrap()), shape: Shape::default() }
}

fn path(path: &str) -> Wanted {
    Wanted::Path(PathBuf::from(path))
}

fn name(name: &str) -> FileName {
    name.parse().unwrap()
}

fn created(found: Found) -> FileRecord {
    match found {
        Found::Created(record) => record,
        Found::Existing(record) => panic!("{} was there already", record.name),
    }
}

fn existing(found: Found) -> FileRecord {
    match found {
        Found::Existing(record) => record,
        Found::Created(record) => panic!("{} was not there", record.name),
    }
}

fn never() -> NewFile {
    panic!("the file exists")
}

#[test]
fn the_same_path_is_the_same_file_and_reads_back_whole() {
    let (folder, mut names) = names();
    let grid = grid(1);
    let embedded = on("embedded", &grid);
    let wanted = path("/a/report.pdf");
    let made =
        created(names.create_or_find(&wanted, embedded, NOW, || new_file(1, &grid)).unwrap());
    assert_eq!(made.name, name("report.pdf"));

    let mut names = Names::open(folder.path()).unwrap();
    let found = existing(names.create_or_find(&wanted, embedded, NOW, never).unwrap());
    assert_eq!(found, made);
    assert_eq!(names.find(&name("report.pdf")).unwrap(), made);
    assert_eq!(names.list().unwrap(), vec![made]);
}

#[test]
fn another_path_with_the_same_last_part_gets_a_numbered_name() {
    let (_folder, mut names) = names();
    let grid = grid(1);
    let mut publish = |wanted: &str, seed| {
        let found =
            names.create_or_find(&path(wanted), on("g", &grid), NOW, || new_file(seed, &grid));
        created(found.unwrap()).name.to_string()
    };
    assert_eq!(publish("/a/x", 1), "x");
    assert_eq!(publish("/b/x", 2), "x-2");
    assert_eq!(publish("/c/x", 3), "x-3");
}

#[test]
fn a_file_that_is_wanted_is_found_only_if_it_is_there() {
    let (_folder, mut names) = names();
    let (here, elsewhere) = (grid(1), grid(7));
    let by_name = Wanted::Name(name("x"), None);
    assert_eq!(names.find_wanted(&path("/a/x"), on("g", &here)).unwrap(), None);
    let made = names.create_or_find(&path("/a/x"), on("g", &here), NOW, || new_file(1, &here));
    let made = created(made.unwrap());
    for wanted in [&path("/a/x"), &by_name] {
        assert_eq!(names.find_wanted(wanted, on("g", &here)).unwrap(), Some(made.clone()));
    }
    let other = names.find_wanted(&by_name, on("h", &elsewhere));
    assert!(matches!(other, Err(NamesError::OtherGrid { .. })));
}

#[test]
fn a_named_file_keeps_its_path_for_the_next_publish() {
    let (_folder, mut names) = names();
    let grid = grid(1);
    let named = Wanted::Name(name("yearly"), Some(PathBuf::from("/a/x")));
    created(names.create_or_find(&named, on("g", &grid), NOW, || new_file(1, &grid)).unwrap());
    let found = existing(names.create_or_find(&path("/a/x"), on("g", &grid), NOW, never).unwrap());
    assert_eq!(found.name, name("yearly"));

    let second = Wanted::Name(name("copy"), Some(PathBuf::from("/a/x")));
    let second = names.create_or_find(&second, on("g", &grid), NOW, || new_file(2, &grid));
    assert_eq!(created(second.unwrap()).path, None);
}

#[test]
fn a_file_of_another_grid_is_never_mistaken_for_one_of_this() {
    let (_folder, mut names) = names();
    let (here, there) = (grid(1), grid(11));
    created(
        names.create_or_find(&path("/a/x"), on("g", &here), NOW, || new_file(1, &here)).unwrap(),
    );
    let other = names.create_or_find(&path("/a/x"), on("g", &there), NOW, || new_file(2, &there));
    assert_eq!(created(other.unwrap()).name, name("x-2"));

    let named = Wanted::Name(name("x"), None);
    let error = names.create_or_find(&named, on("g", &there), NOW, never).unwrap_err();
    assert!(matches!(error, NamesError::OtherGrid { name, .. } if name.as_str() == "x"));
}

#[test]
fn a_grid_file_that_moved_and_grew_is_still_the_same_grid() {
    let (_folder, mut names) = names();
    let (before, after) = (grid(1), grid(3));
    created(
        names
            .create_or_find(&path("/a/x"), on("old.toml", &before), NOW, || new_file(1, &before))
            .unwrap(),
    );
    existing(names.create_or_find(&path("/a/x"), on("new.toml", &after), NOW, never).unwrap());
}

#[test]
fn of_many_first_commands_at_once_one_creates_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let grid = grid(1);
    let start = std::sync::Barrier::new(8);
    let publish = |seed| {
        start.wait();
        let mut names = Names::open(folder.path()).unwrap();
        names.create_or_find(&path("/a/x"), on("g", &grid), NOW, || new_file(seed, &grid)).unwrap()
    };
    let found: Vec<Found> = std::thread::scope(|scope| {
        let publish = &publish;
        let threads: Vec<_> = (1..=8).map(|seed| scope.spawn(move || publish(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let makers = found.iter().filter(|found| matches!(found, Found::Created(_)));
    assert_eq!(makers.count(), 1);
    let files: std::collections::BTreeSet<_> = found
        .into_iter()
        .map(|found| match found {
            Found::Created(record) | Found::Existing(record) => record.storage_index(),
        })
        .collect();
    assert_eq!(files.len(), 1);
}

fn seen(sequence_number: u64, version: u8) -> HighWater {
    HighWater {
        sequence_number: SequenceNumber::new(sequence_number).unwrap(),
        version: VersionId::new([version; 32]),
    }
}

#[test]
fn the_high_water_mark_never_goes_down_and_outlives_the_name() {
    let (_folder, mut names) = names();
    let grid = grid(1);
    let record = names.create_or_find(&path("/a/x"), on("g", &grid), NOW, || new_file(1, &grid));
    let file = created(record.unwrap()).storage_index();
    assert_eq!(names.high_water(file).unwrap(), None);
    assert_eq!(names.raise_high_water(file, seen(5, 1)).unwrap(), seen(5, 1));
    assert_eq!(names.raise_high_water(file, seen(4, 9)).unwrap(), seen(5, 1));
    assert_eq!(names.raise_high_water(file, seen(5, 0)).unwrap(), seen(5, 1));
    assert_eq!(names.raise_high_water(file, seen(5, 2)).unwrap(), seen(5, 2));
    assert_eq!(names.find(&name("x")).unwrap().high_water, Some(seen(5, 2)));
    names.forget(&name("x")).unwrap();
    assert_eq!(names.raise_high_water(file, seen(1, 1)).unwrap(), seen(5, 2));
    let last = seen((1 << 63) - 1, 1);
    assert_eq!(names.raise_high_water(file, last).unwrap(), last);
}

#[test]
fn a_forgotten_name_is_unknown() {
    let (_folder, mut names) = names();
    for error in [names.find(&name("x")).unwrap_err(), names.forget(&name("x")).unwrap_err()] {
        assert_eq!(error.to_string(), "no file is called \"x\"");
    }
}

#[test]
fn the_database_is_its_owners_only() {
    let (folder, mut names) = names();
    let grid = grid(1);
    created(
        names.create_or_find(&path("/a/x"), on("g", &grid), NOW, || new_file(1, &grid)).unwrap(),
    );
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(files.len() >= 3, "database, log and shared memory");
    for file in files {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
    }
}

#[test]
fn bytes_that_are_no_database_are_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("names.sqlite"), "x".repeat(5000)).unwrap();
    let error = Names::open(folder.path()).unwrap_err();
    assert!(matches!(error, NamesError::Damaged { .. }), "{error}");
}

#[test]
fn a_flipped_bit_anywhere_makes_no_panic_and_no_second_file() {
    let (folder, mut names) = names();
    let grid = grid(1);
    let made = names.create_or_find(&path("/a/x"), on("g", &grid), NOW, || new_file(1, &grid));
    created(made.unwrap());
    names.connection.pragma_update(None, "wal_checkpoint", "truncate").unwrap();
    drop(names);
    let file = folder.path().join("names.sqlite");
    let whole = std::fs::read(&file).unwrap();
    for position in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        let listed = Names::open(folder.path()).and_then(|names| names.list());
        if let Ok(records) = listed {
            assert!(records.len() <= 1);
        }
    }
}

#[test]
fn a_row_that_cannot_have_been_written_is_called_damaged() {
    let (_folder, mut names) = names();
    let grid = grid(1);
    created(
        names.create_or_find(&path("/a/x"), on("g", &grid), NOW, || new_file(1, &grid)).unwrap(),
    );
    for damage in [
        "window = x'0102'",
        "window = x''",
        "k = 11",
        "n = 300",
        "storage_index = x''",
        "name = '-'",
    ] {
        names.connection.execute_batch(&format!("SAVEPOINT s; UPDATE file SET {damage}")).unwrap();
        let error = names.list().unwrap_err();
        assert!(matches!(error, NamesError::Damaged { .. }), "{damage}: {error}");
        names.connection.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
    }
}

#[test]
fn slow_servers_are_remembered_between_commands() {
    let (folder, mut names) = names();
    let slow = StoreId::new([1; 16]);
    let now = Duration::from_secs(NOW.get());
    let mut heard = Heard { asked: [slow].into(), silent: [slow].into() };
    names.change_suspects(|suspects| suspects.note(now, &heard)).unwrap();
    drop(names);
    let mut names = Names::open(folder.path()).unwrap();
    assert_eq!(names.suspects().unwrap().at(now), [slow].into());
    heard.answered(slow);
    names.change_suspects(|suspects| suspects.note(now, &heard)).unwrap();
    assert_eq!(names.suspects().unwrap(), Suspects::default());
}

#[test]
fn a_path_is_where_its_folder_really_is() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap();
    std::fs::create_dir(real.join("real")).unwrap();
    std::os::unix::fs::symlink(real.join("real"), real.join("link")).unwrap();
    let identity = path_identity(&real.join("link/../link/./x")).unwrap();
    assert_eq!(identity, real.join("real/x"));
}
