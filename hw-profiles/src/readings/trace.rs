//! Readings over time as text, a line each: to record what a machine goes through and to try the policy on it.
//!
//! Columns separated by tabs, the first line their names ([`HEADER`]); `-` where the machine does not tell, `#` begins
//! a comment line. `loads` and `allowed` list one share for each processor from 0 on, separated by commas; `battery` is
//! `-` on external power, a percentage, or `?` when it is emptied and does not tell how far.

use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::{CoreReading, LowVoltageState, Pressure, Readings, Supply, SystemState, VehicleState};

/// Names of the columns.
pub const HEADER: &str = "t_s\ttemperature_c\tloads\tallowed\tcpu_pressure\tmemory_pressure\tbattery\tavailable_mib\t\
                          late\tignition\toptimise\tsystem";
const COLUMNS: [&str; 12] = [
    "t_s",
    "temperature_c",
    "loads",
    "allowed",
    "cpu_pressure",
    "memory_pressure",
    "battery",
    "available_mib",
    "late",
    "ignition",
    "optimise",
    "system",
];

/// Why a trace is none.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("{file}: {source}; give a readable trace")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line is malformed.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong and how to mend it.
        problem: String,
    },
}

/// Reads a trace: times since its begin, never going back, with their readings.
///
/// # Errors
/// [`TraceError`] names file, line and column.
pub fn load(file: &Path) -> Result<Vec<(Duration, Readings)>, TraceError> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|source| TraceError::File {
        file: name.clone(),
        source,
    })?;
    parse(&name, &text)
}

/// As [`load`], of a text; `file` names it in errors.
///
/// # Errors
/// [`TraceError::Line`].
pub fn parse(file: &str, text: &str) -> Result<Vec<(Duration, Readings)>, TraceError> {
    let mut rows: Vec<(Duration, Readings)> = Vec::new();
    let mut headed = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |problem: String| TraceError::Line {
            file: file.to_owned(),
            line: number,
            problem,
        };
        if !headed {
            headed = line == HEADER;
            if !headed {
                return Err(wrong(format!("begin with the line {HEADER:?}")));
            }
            continue;
        }
        let row = row(line).map_err(wrong)?;
        if rows.last().is_some_and(|last| last.0 > row.0) {
            return Err(wrong("`t_s` goes back: put the lines in order".into()));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The line of readings taken at a time.
pub fn line(at: Duration, readings: &Readings) -> String {
    let mut line = format!("{:.1}", at.as_secs_f64());
    let vehicle = &readings.vehicle;
    let cells = [
        number(readings.temperature_c, 1),
        shares(&readings.cores, |core| core.load),
        shares(&readings.cores, |core| core.allowed),
        number(readings.pressure.cpu, 3),
        number(readings.pressure.memory, 3),
        match readings.supply {
            Supply::External => "-".into(),
            Supply::Battery { percent: None } => "?".into(),
            Supply::Battery {
                percent: Some(percent),
            } => percent.to_string(),
        },
        readings
            .available_mib
            .map_or("-".into(), |mib| mib.to_string()),
        readings.missed_deadlines.to_string(),
        vehicle
            .low_voltage
            .map_or("-", LowVoltageState::name)
            .to_owned(),
        vehicle
            .optimise
            .map_or("-".into(), |level| level.to_string()),
        match readings.system {
            SystemState::Running => "-",
            SystemState::Suspending => "suspending",
            SystemState::ShuttingDown => "shutting-down",
        }
        .to_owned(),
    ];
    for cell in cells {
        // Writing to a String cannot fail.
        let _ = write!(line, "\t{cell}");
    }
    line
}

fn number(value: Option<f32>, digits: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.digits$}"))
}

fn shares(cores: &[CoreReading], of: impl Fn(&CoreReading) -> Option<f32>) -> String {
    if cores.iter().all(|core| of(core).is_none()) {
        return "-".into();
    }
    let share = |core: &CoreReading| number(of(core), 3);
    cores.iter().map(share).collect::<Vec<_>>().join(",")
}

fn row(line: &str) -> Result<(Duration, Readings), String> {
    let cells: Vec<&str> = line.split('\t').collect();
    if cells.len() != COLUMNS.len() {
        return Err(format!(
            "{} columns, not {}: separate them by single tabs",
            cells.len(),
            COLUMNS.len()
        ));
    }
    let cell = |column: usize| (COLUMNS[column], cells[column]);
    let seconds: f64 = wanted(cell(0))?;
    let at = Duration::try_from_secs_f64(seconds).map_err(|error| format!("`t_s`: {error}"))?;
    let mut vehicle = VehicleState {
        low_voltage: optional(cell(9))?,
        optimise: None,
    };
    if let Some(level) = optional(cell(10))? {
        vehicle
            .set_optimise(level)
            .map_err(|error| error.to_string())?;
    }
    let readings = Readings {
        temperature_c: optional(cell(1))?,
        cores: cores(cell(2), cell(3))?,
        pressure: Pressure {
            cpu: optional(cell(4))?,
            memory: optional(cell(5))?,
        },
        supply: match cells[6] {
            "-" => Supply::External,
            "?" => Supply::Battery { percent: None },
            _ => Supply::Battery {
                percent: Some(wanted(cell(6))?),
            },
        },
        available_mib: optional(cell(7))?,
        missed_deadlines: wanted(cell(8))?,
        vehicle,
        system: match cells[11] {
            "-" => SystemState::Running,
            "suspending" => SystemState::Suspending,
            "shutting-down" => SystemState::ShuttingDown,
            other => {
                return Err(format!(
                    "`system` {other:?}: give -, suspending or shutting-down"
                ));
            }
        },
    };
    Ok((at, readings))
}

fn wanted<T: FromStr>((column, cell): (&str, &str)) -> Result<T, String> {
    cell.parse()
        .map_err(|_| format!("`{column}` {cell:?} is no value: see the head of the trace"))
}

fn optional<T: FromStr>((column, cell): (&str, &str)) -> Result<Option<T>, String> {
    match cell {
        "-" => Ok(None),
        _ => wanted((column, cell)).map(Some),
    }
}

type Cell<'a> = (&'a str, &'a str);

fn cores(loads: Cell<'_>, allowed: Cell<'_>) -> Result<Vec<CoreReading>, String> {
    let list = |(column, cell): Cell<'_>| -> Result<Vec<Option<f32>>, String> {
        match cell {
            "-" => Ok(Vec::new()),
            _ => cell
                .split(',')
                .map(|part| optional((column, part)))
                .collect(),
        }
    };
    let (loads, allowed) = (list(loads)?, list(allowed)?);
    let count = loads.len().max(allowed.len());
    Ok((0..count)
        .map(|cpu| CoreReading {
            cpu,
            load: loads.get(cpu).copied().flatten(),
            mhz: None,
            allowed: allowed.get(cpu).copied().flatten(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut readings = Readings {
            temperature_c: Some(71.5),
            pressure: Pressure {
                cpu: Some(0.125),
                memory: None,
            },
            supply: Supply::Battery { percent: None },
            available_mib: Some(300),
            missed_deadlines: 2,
            system: SystemState::Suspending,
            ..Readings::default()
        };
        readings.vehicle.low_voltage = Some(LowVoltageState::Acc);
        readings.vehicle.optimise = Some(7);
        for (cpu, load) in [Some(0.25), None].into_iter().enumerate() {
            readings.cores.push(CoreReading {
                cpu,
                load,
                mhz: None,
                allowed: Some(0.5),
            });
        }
        let at = Duration::from_millis(1500);
        let text = format!("# a comment\n{HEADER}\n{}\n", line(at, &readings));
        assert_eq!(parse("x", &text).expect("a trace"), [(at, readings)]);
        assert_eq!(COLUMNS.join("\t"), HEADER);
    }

    #[test]
    fn faults_name_line_and_column() {
        let ordinary = line(Duration::from_secs(9), &Readings::default());
        let fault = |row: &str| {
            let text = format!("{HEADER}\n{ordinary}\n{row}\n");
            parse("x.tsv", &text).expect_err("refused").to_string()
        };
        for (row, said) in [
            ("1\t2", "columns"),
            (&ordinary.replacen("9.0", "8.0", 1), "`t_s` goes back"),
            (&ordinary.replacen("9.0", "-1", 1), "`t_s`"),
            (
                &ordinary.replacen("9.0\t-", "9.0\twarm", 1),
                "`temperature_c`",
            ),
        ] {
            let fault = fault(row);
            assert!(
                fault.contains("x.tsv, line 3") && fault.contains(said),
                "{fault}"
            );
        }
        assert!(parse("x", "t\n").is_err());
    }

    proptest! {
        #[test]
        fn any_row_is_read_or_refused(row in "[-?0-9.,a-z\t]{0,60}") {
            let _ = parse("x", &format!("{HEADER}\n{row}\n"));
        }
    }
}
