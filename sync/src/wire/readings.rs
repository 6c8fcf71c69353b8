//! Readings as columns. Rows stand in runs of one (unit, device, probe, scale), in time order; each column is a list of
//! small differences. What follows from something else does not travel: ids, and the order of arrival that gives seq.

use uuid::Uuid;

use super::columns::{self, Input, unzigzag, write_value, zigzag};
use super::frame::Plain;
use super::times::{self, Pace};
use super::{ROWS_MAX, Reading, Readings, Source, WireError};
use crate::ids::Epoch;
use crate::scale::Scale;

/// Rows of one probe in one scale, in time order.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Run {
    unit: u32,
    device: u32,
    probe: u8,
    scale: Scale,
    rows: usize,
}

/// Writes `readings`; the rows may be in any order, and `read` gives them sorted by run, time and seq.
pub(super) fn write(plain: &mut Plain, readings: &Readings) -> Result<(), WireError> {
    let Readings { epoch, seq_lo, seq_hi, units, devices, rows } = readings;
    if rows.len() > ROWS_MAX {
        return Err(WireError::TooManyRows { got: rows.len(), max: ROWS_MAX });
    }
    for names in [units, devices] {
        if names.len() > ROWS_MAX {
            return Err(WireError::TooManyRows { got: names.len(), max: ROWS_MAX });
        }
    }
    check_seqs(rows, *seq_lo, *seq_hi).map_err(WireError::Unfit)?;
    let mut rows = rows.clone();
    rows.sort_unstable_by_key(order_of);
    let runs: Vec<Run> = rows
        .chunk_by(|a, b| run_of(a) == run_of(b))
        .map(|chunk| Run { rows: chunk.len(), ..run_of(&chunk[0]) })
        .collect();

    write_value(plain, &(epoch, seq_lo, seq_hi.wrapping_sub(*seq_lo), units, devices));
    write_value(plain, &(runs.len() as u32));
    write_runs(plain, &runs);
    write_times(plain, &runs, &rows);
    let lags: Vec<u64> =
        rows.iter().map(|row| zigzag(row.received_ms.wrapping_sub(row.recorded_ms))).collect();
    columns::write(plain, &lags);
    write_values(plain, &runs, rows.iter().map(|row| Some(row.temperature)));
    write_values(plain, &runs, rows.iter().map(|row| row.humidity));
    write_values(plain, &runs, rows.iter().map(|row| row.battery));
    write_values(plain, &runs, rows.iter().map(|row| row.rssi));
    let sources: Vec<u64> = rows.iter().map(|row| u64::from(row.source.number())).collect();
    columns::write(plain, &sources);
    write_seqs(plain, &rows, *seq_lo);
    Ok(())
}

pub(super) fn read(input: &mut Input<'_>) -> Result<Readings, WireError> {
    let (epoch, seq_lo, seq_width, units, devices): Head = input.value()?;
    for names in [&units, &devices] {
        if names.len() > ROWS_MAX {
            return Err(WireError::TooManyRows { got: names.len(), max: ROWS_MAX });
        }
    }
    let runs = read_runs(input)?;
    let count = runs.iter().map(|run| run.rows).sum();
    let recorded = read_times(input, &runs)?;
    let lags = columns::read(input, count)?;
    let temperatures = read_values(input, &runs)?;
    let humidities = read_values(input, &runs)?;
    let batteries = read_values(input, &runs)?;
    let rssis = read_values(input, &runs)?;
    let sources = columns::read(input, count)?;

    let mut rows = Vec::with_capacity(count);
    for run in &runs {
        for _ in 0..run.rows {
            let i = rows.len();
            rows.push(Reading {
                seq: 0,
                unit: run.unit,
                device: run.device,
                probe: run.probe,
                scale: run.scale,
                temperature: temperatures[i].ok_or_else(|| damaged("a reading has no temperature"))?,
                humidity: humidities[i],
                battery: batteries[i],
                rssi: rssis[i],
                recorded_ms: recorded[i],
                received_ms: recorded[i].wrapping_add(unzigzag(lags[i])),
                source: u8::try_from(sources[i])
                    .ok()
                    .and_then(Source::from_number)
                    .ok_or_else(|| damaged(&format!("source {} is not known", sources[i])))?,
            });
        }
    }
    read_seqs(input, &mut rows, seq_lo)?;
    // Another order would be a second spelling of the same batch.
    if !rows.is_sorted_by_key(order_of) {
        return Err(damaged("its readings are not in order"));
    }
    let seq_hi = seq_lo.wrapping_add(seq_width);
    check_seqs(&rows, seq_lo, seq_hi).map_err(WireError::Damaged)?;
    Ok(Readings { epoch, seq_lo, seq_hi, units, devices, rows })
}

type Head = (Epoch, u64, u64, Vec<(u32, Uuid)>, Vec<(u32, Uuid)>);

/// The order in which rows travel.
fn order_of(row: &Reading) -> (u32, u32, u8, Scale, i64, u64) {
    (row.unit, row.device, row.probe, row.scale, row.recorded_ms, row.seq)
}

fn run_of(row: &Reading) -> Run {
    Run { unit: row.unit, device: row.device, probe: row.probe, scale: row.scale, rows: 0 }
}

/// Each seq once, and inside the interval that the batch says it covers.
fn check_seqs(rows: &[Reading], seq_lo: u64, seq_hi: u64) -> Result<(), String> {
    let mut seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
    seqs.sort_unstable();
    if seq_lo > seq_hi
        || seqs.first().is_some_and(|&seq| seq < seq_lo)
        || seqs.last().is_some_and(|&seq| seq > seq_hi)
    {
        return Err(format!("a seq is outside its interval {seq_lo} to {seq_hi}"));
    }
    match seqs.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("seq {} stands twice", pair[0])),
        None => Ok(()),
    }
}

fn write_runs(plain: &mut Plain, runs: &[Run]) {
    let mut column = |of: fn(&Run) -> u64| columns::write(plain, &runs.iter().map(of).collect::<Vec<_>>());
    column(|run| u64::from(run.unit));
    column(|run| u64::from(run.device));
    column(|run| u64::from(run.probe));
    column(|run| u64::from(run.scale == Scale::F));
    column(|run| run.rows as u64);
}

fn read_runs(input: &mut Input<'_>) -> Result<Vec<Run>, WireError> {
    let count = input.value::<u32>()? as usize;
    if count > ROWS_MAX {
        return Err(WireError::TooManyRows { got: count, max: ROWS_MAX });
    }
    let [units, devices, probes, scales, lengths] = {
        let mut column = || columns::read(input, count);
        [column()?, column()?, column()?, column()?, column()?]
    };
    let mut total = 0;
    (0..count)
        .map(|i| {
            let rows = usize::try_from(lengths[i]).unwrap_or(usize::MAX);
            total = rows.saturating_add(total);
            if total > ROWS_MAX {
                return Err(WireError::TooManyRows { got: total, max: ROWS_MAX });
            }
            if rows == 0 {
                return Err(damaged("a run is empty"));
            }
            Ok(Run {
                unit: u32::try_from(units[i]).map_err(|_| damaged("a unit number is over 32 bits"))?,
                device: u32::try_from(devices[i]).map_err(|_| damaged("a device number is over 32 bits"))?,
                probe: u8::try_from(probes[i]).map_err(|_| damaged("a probe number is over 8 bits"))?,
                scale: match scales[i] {
                    0 => Scale::C,
                    1 => Scale::F,
                    other => return Err(damaged(&format!("scale {other} is not known"))),
                },
                rows,
            })
        })
        .collect()
}

/// Three columns of a value per run (first time, period, pace), then a difference for every row after its run's first.
fn write_times(plain: &mut Plain, runs: &[Run], rows: &[Reading]) {
    let (mut starts, mut periods, mut paces) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = Vec::with_capacity(rows.len());
    let (mut from, mut last_start, mut last_period) = (0, 0i64, 0i64);
    for run in runs {
        let recorded: Vec<i64> = rows[from..from + run.rows].iter().map(|row| row.recorded_ms).collect();
        from += run.rows;
        let (period, pace) = times::choose(&recorded);
        starts.push(zigzag(recorded[0].wrapping_sub(last_start)));
        periods.push(zigzag(period.wrapping_sub(last_period)));
        paces.push(pace.number());
        times::write(&recorded, period, pace, &mut rest);
        (last_start, last_period) = (recorded[0], period);
    }
    for column in [&starts, &periods, &paces, &rest] {
        columns::write(plain, column);
    }
}

fn read_times(input: &mut Input<'_>, runs: &[Run]) -> Result<Vec<i64>, WireError> {
    let count: usize = runs.iter().map(|run| run.rows).sum();
    let starts = columns::read(input, runs.len())?;
    let periods = columns::read(input, runs.len())?;
    let paces = columns::read(input, runs.len())?;
    let rest = columns::read(input, count - runs.len())?;
    let mut recorded = Vec::with_capacity(count);
    let (mut from, mut start, mut period) = (0, 0i64, 0i64);
    for (i, run) in runs.iter().enumerate() {
        start = start.wrapping_add(unzigzag(starts[i]));
        period = period.wrapping_add(unzigzag(periods[i]));
        let pace =
            Pace::from_number(paces[i]).ok_or_else(|| damaged(&format!("pace {} is not known", paces[i])))?;
        let till = from + run.rows - 1;
        times::read(start, period, pace, &rest[from..till], &mut recorded);
        from = till;
    }
    Ok(recorded)
}

/// A column of which some values may be absent: who is present, then differences of the present ones. A run begins at
/// the first value of the run before.
fn write_values(plain: &mut Plain, runs: &[Run], values: impl Iterator<Item = Option<i32>>) {
    let values: Vec<Option<i32>> = values.collect();
    let present: Vec<u64> = values.iter().map(|value| u64::from(value.is_some())).collect();
    columns::write(plain, &present);
    let mut steps = Vec::with_capacity(values.len());
    let mut base = 0i64;
    let mut from = 0;
    for run in runs {
        let mut last = base;
        let mut is_first = true;
        for value in values[from..from + run.rows].iter().flatten() {
            let value = i64::from(*value);
            steps.push(zigzag(value - last));
            last = value;
            if std::mem::take(&mut is_first) {
                base = value;
            }
        }
        from += run.rows;
    }
    columns::write(plain, &steps);
}

fn read_values(input: &mut Input<'_>, runs: &[Run]) -> Result<Vec<Option<i32>>, WireError> {
    let count = runs.iter().map(|run| run.rows).sum();
    let present = columns::read(input, count)?;
    let present_count = present.iter().filter(|&&is| is == 1).count();
    if present.iter().any(|&is| is > 1) {
        return Err(damaged("a value is neither present nor absent"));
    }
    let steps = columns::read(input, present_count)?;
    let mut values = Vec::with_capacity(count);
    let mut steps = steps.iter();
    let mut base = 0i64;
    for run in runs {
        let mut last = base;
        let mut is_first = true;
        for _ in 0..run.rows {
            if present[values.len()] == 0 {
                values.push(None);
                continue;
            }
            let step = *steps.next().expect("as many steps as values are present");
            last = last.wrapping_add(unzigzag(step));
            let value = i32::try_from(last).map_err(|_| damaged("a value is over 32 bits"))?;
            values.push(Some(value));
            if std::mem::take(&mut is_first) {
                base = last;
            }
        }
    }
    Ok(values)
}

/// In order of arrival seq rises by one; only what differs (another input took a number, clocks moved) is not zero.
fn write_seqs(plain: &mut Plain, rows: &[Reading], seq_lo: u64) {
    let mut expected = seq_lo;
    let steps: Vec<u64> = arrival_order(rows)
        .into_iter()
        .map(|i| {
            let seq = rows[i as usize].seq;
            let step = zigzag(seq.wrapping_sub(expected) as i64);
            expected = seq.wrapping_add(1);
            step
        })
        .collect();
    columns::write(plain, &steps);
}

fn read_seqs(input: &mut Input<'_>, rows: &mut [Reading], seq_lo: u64) -> Result<(), WireError> {
    let steps = columns::read(input, rows.len())?;
    let mut expected = seq_lo;
    for (i, step) in arrival_order(rows).into_iter().zip(steps) {
        let seq = expected.wrapping_add(unzigzag(step) as u64);
        rows[i as usize].seq = seq;
        expected = seq.wrapping_add(1);
    }
    Ok(())
}

fn arrival_order(rows: &[Reading]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_unstable_by_key(|&i| (rows[i as usize].received_ms, i));
    order
}

fn damaged(what: &str) -> WireError {
    WireError::Damaged(what.to_owned())
}
