//! Trace files and pages on disk.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use tarn_sim::bugs;
use tarn_sim::plant::Plant;
use tarn_sim::trace::Trace;

use crate::Failure;

pub(crate) fn read(path: &Path) -> Result<Trace, Failure> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Trace::read(BufReader::new(file)).map_err(|error| format!("{}: {error}", path.display()).into())
}

pub(crate) fn write(path: &Path, trace: &Trace) -> Result<(), Failure> {
    save(path, |file| trace.write(file))
}

pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    save(path, |file| file.write_all(text.as_bytes()))
}

fn save(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let written = File::create(path).map(BufWriter::new).and_then(|mut file| {
        write(&mut file)?;
        file.flush()
    });
    written.map_err(|error| format!("{}: {error}", path.display()).into())
}

/// The bug that a trace was recorded with.
pub(crate) fn plant_of(trace: &Trace) -> Result<Option<Box<dyn Plant>>, Failure> {
    let Some(name) = &trace.setup.bug else { return Ok(None) };
    let bug = bugs::by_name(name)
        .ok_or_else(|| format!("no bug is called {name}: `tarn-sim list` names them all"))?;
    Ok(Some((bug.plant)()))
}
