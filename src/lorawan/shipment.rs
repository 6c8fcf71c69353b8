//! The list that comes with a box of sensors: a CSV with one device a line. Makers agree on nothing but that the first line
//! names the columns.

use std::collections::BTreeMap;

use super::ids::{Eui, Key};

/// Lines read of one list; a shipment for a whole chain of kitchens fits.
pub const ROWS_MAX: usize = 10_000;
/// Bytes of one line.
const LINE_BYTES_MAX: usize = 4_096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// In the file, from 1.
    pub line: usize,
    pub dev_eui: Eui,
    pub join_eui: Option<Eui>,
    pub app_key: Key,
    /// What a 1.1 device signs its joins with.
    pub nwk_key: Option<Key>,
    pub serial: Option<String>,
    pub name: Option<String>,
    pub model: Option<String>,
}

/// What could be read, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shipment {
    pub rows: Vec<Row>,
    pub errors: Vec<LineError>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LineError {
    pub line: usize,
    pub problem: Problem,
}

/// No message holds what stands in a key's column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("it names no column {0}; the first line must name the columns")]
    NoColumn(&'static str),
    #[error("no {0}")]
    Empty(&'static str),
    #[error("the DevEUI {0:?} is not 16 hexadecimal digits")]
    DevEui(String),
    #[error("the JoinEUI {0:?} is not 16 hexadecimal digits")]
    JoinEui(String),
    #[error("the AppKey is not 32 hexadecimal digits, it has {0} characters")]
    AppKey(usize),
    #[error("the NwkKey is not 32 hexadecimal digits, it has {0} characters")]
    NwkKey(usize),
    #[error("the DevEUI {0} stands in line {1} already")]
    Twice(Eui, usize),
    #[error("longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    #[error("beyond the {ROWS_MAX} lines that are read; split the list")]
    TooMany,
    #[error("not UTF-8; save the list as CSV UTF-8")]
    NotUtf8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    DevEui,
    JoinEui,
    AppKey,
    NwkKey,
    Serial,
    Name,
    Model,
}

/// Reads a list: comma, semicolon or tab between fields, quotes around them or not.
pub fn parse(bytes: &[u8]) -> Shipment {
    let mut shipment = Shipment::default();
    let mut seen: BTreeMap<Eui, usize> = BTreeMap::new();
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}'),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            shipment.errors.push(LineError { line, problem: Problem::NotUtf8 });
            return shipment;
        }
    };
    let mut lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let Some((header, header_line)) = lines.next() else {
        shipment.errors.push(LineError { line: 1, problem: Problem::NoColumn("DevEUI") });
        return shipment;
    };
    let separator = separator(header);
    let columns = match columns(header, separator) {
        Ok(columns) => columns,
        Err(problem) => {
            shipment.errors.push(LineError { line: header_line, problem });
            return shipment;
        }
    };
    for ((text, line), number) in lines.zip(0..) {
        if number >= ROWS_MAX {
            shipment.errors.push(LineError { line, problem: Problem::TooMany });
            break;
        }
        let read =
            row(text, line, separator, &columns).and_then(|row| match seen.insert(row.dev_eui, line) {
                Some(before) => Err(Problem::Twice(row.dev_eui, before)),
                None => Ok(row),
            });
        match read {
            Ok(row) => shipment.rows.push(row),
            Err(problem) => shipment.errors.push(LineError { line, problem }),
        }
    }
    shipment
}

fn row(text: &str, line: usize, separator: char, columns: &BTreeMap<Column, usize>) -> Result<Row, Problem> {
    if text.len() > LINE_BYTES_MAX {
        return Err(Problem::TooLong);
    }
    let fields = fields(text, separator);
    let field = |column: Column| {
        let text = fields.get(*columns.get(&column)?)?.trim();
        // Spreadsheets turn digits into numbers; makers guard against it with an apostrophe.
        let text = text.trim_start_matches('\'');
        (!text.is_empty()).then_some(text)
    };
    let required = |column: Column, name: &'static str| field(column).ok_or(Problem::Empty(name));
    let dev_eui = required(Column::DevEui, "DevEUI")?;
    let app_key = required(Column::AppKey, "AppKey")?;
    let shown = |text: &str| text.chars().take(40).collect::<String>();
    let key = |text: &str| Key::parse(prefixed(text)).ok_or(text.chars().count());
    Ok(Row {
        line,
        dev_eui: eui(dev_eui).ok_or_else(|| Problem::DevEui(shown(dev_eui)))?,
        join_eui: field(Column::JoinEui)
            .map(|text| eui(text).ok_or_else(|| Problem::JoinEui(shown(text))))
            .transpose()?,
        app_key: key(app_key).map_err(Problem::AppKey)?,
        nwk_key: field(Column::NwkKey).map(|text| key(text).map_err(Problem::NwkKey)).transpose()?,
        serial: field(Column::Serial).map(str::to_owned),
        name: field(Column::Name).map(str::to_owned),
        model: field(Column::Model).map(str::to_owned),
    })
}

fn eui(text: &str) -> Option<Eui> {
    Eui::parse(prefixed(text))
}

fn prefixed(text: &str) -> &str {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text)
}

/// The one that stands most often in the first line.
fn separator(header: &str) -> char {
    let count = |separator: char| header.matches(separator).count();
    [',', ';', '\t'].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(',')
}

fn columns(header: &str, separator: char) -> Result<BTreeMap<Column, usize>, Problem> {
    let mut columns = BTreeMap::new();
    for (name, index) in fields(header, separator).iter().zip(0..) {
        if let Some(column) = column(name) {
            columns.entry(column).or_insert(index);
        }
    }
    match (columns.contains_key(&Column::DevEui), columns.contains_key(&Column::AppKey)) {
        (false, _) => Err(Problem::NoColumn("DevEUI")),
        (_, false) => Err(Problem::NoColumn("AppKey")),
        _ => Ok(columns),
    }
}

/// By letters and digits alone: "Dev EUI", "dev_eui" and "DevEUI (hex)" are the same.
fn column(name: &str) -> Option<Column> {
    let bare: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match bare.strip_suffix("hex").unwrap_or(&bare) {
        "deveui" | "deviceeui" | "lorawandeveui" | "eui" | "eui64" | "devicedeveui" => Some(Column::DevEui),
        "joineui" | "appeui" | "applicationeui" | "lorawanappeui" => Some(Column::JoinEui),
        "appkey" | "applicationkey" | "lorawanappkey" | "otaakey" => Some(Column::AppKey),
        "nwkkey" | "networkkey" => Some(Column::NwkKey),
        "serial" | "sn" | "serialno" | "serialnumber" | "snr" | "deviceserial" | "serialnum" => {
            Some(Column::Serial)
        }
        "name" | "devicename" | "label" => Some(Column::Name),
        "model" | "type" | "product" | "devicetype" | "productname" | "devicemodel" => Some(Column::Model),
        _ => None,
    }
}

/// A line's fields; a quote inside quotes is written twice.
fn fields(line: &str, separator: char) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is always one");
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' if is_quoted => is_quoted = false,
            '"' if field.trim().is_empty() => is_quoted = true,
            c if c == separator && !is_quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "00112233445566778899AABBCCDDEEFF";

    /// Rows as "line DevEUI JoinEUI serial name model", and errors.
    #[track_caller]
    fn check(text: &str, rows: &[&str], errors: &[&str]) {
        let got = parse(text.as_bytes());
        let show = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
        let got_rows: Vec<String> = got
            .rows
            .iter()
            .map(|row| {
                assert_eq!(Some(&row.app_key), Key::parse(KEY).as_ref());
                let join_eui = row.join_eui.map_or("-".to_owned(), |eui| eui.to_string());
                let (serial, name, model) = (show(&row.serial), show(&row.name), show(&row.model));
                format!("{} {} {join_eui} {serial} {name} {model}", row.line, row.dev_eui)
            })
            .collect();
        assert_eq!(got_rows, rows, "{text}");
        let got_errors: Vec<String> = got.errors.iter().map(ToString::to_string).collect();
        assert_eq!(got_errors, errors, "{text}");
        assert!(got_errors.iter().all(|error| !error.contains(&KEY[..8])), "no key is shown");
    }

    #[test]
    fn lists_of_several_makers_are_read() {
        check(
            &format!("DevEUI,AppEUI,AppKey,SN\nA84041FFFF000001,A840410000000100,{KEY},123\n"),
            &["2 A84041FFFF000001 A840410000000100 123 - -"],
            &[],
        );
        check(
            &format!(
                "\u{feff}SN;Dev EUI;Join EUI;App Key;Model\r\n6136A;24E124136A000001;24e124c0002a0001;{KEY};EM300-TH\r\n\r\n"
            ),
            &["2 24E124136A000001 24E124C0002A0001 6136A - EM300-TH"],
            &[],
        );
        check(
            &format!(
                "# \tdevice_name\tdev_eui\tapp_key (hex)\n1\t\"Walk-in, \"\"left\"\"\"\ta8-40-41-ff-ff-00-00-01\t0x{KEY}\n"
            ),
            &["2 A84041FFFF000001 - - Walk-in, \"left\" -"],
            &[],
        );
        check(
            &format!(
                "\"Device EUI\",\"Application Key\",\"Serial Number\"\n\"A81758FFFE000001\",\"'{KEY}\",\"\"\n"
            ),
            &["2 A81758FFFE000001 - - - -"],
            &[],
        );
    }

    #[test]
    fn a_bad_line_does_not_cost_the_others() {
        check(
            &format!(
                "DevEUI,JoinEUI,AppKey\nA84041FFFF000001,,{KEY}\n,,{KEY}\nA84041FFFF000002,,\nA84041FFFF00000,,{KEY}\n\
                 A84041FFFF000003,12,{KEY}\nA84041FFFF000004,,{KEY}00\nA84041FFFF000001,,{KEY}\nA84041FFFF000005\n\
                 1.25E+15,,{KEY}\nA84041FFFF000006,,{KEY},more,fields\n"
            ),
            &["2 A84041FFFF000001 - - - -", "11 A84041FFFF000006 - - - -"],
            &[
                "line 3: no DevEUI",
                "line 4: no AppKey",
                "line 5: the DevEUI \"A84041FFFF00000\" is not 16 hexadecimal digits",
                "line 6: the JoinEUI \"12\" is not 16 hexadecimal digits",
                "line 7: the AppKey is not 32 hexadecimal digits, it has 34 characters",
                "line 8: the DevEUI A84041FFFF000001 stands in line 2 already",
                "line 9: no AppKey",
                "line 10: the DevEUI \"1.25E+15\" is not 16 hexadecimal digits",
            ],
        );
    }

    #[test]
    fn a_list_without_columns_says_so() {
        let no_dev_eui = "line 1: it names no column DevEUI; the first line must name the columns";
        check("", &[], &[no_dev_eui]);
        check("\n\n", &[], &[no_dev_eui]);
        check(&format!("A84041FFFF000001,{KEY}\n"), &[], &[no_dev_eui]);
        check(
            "\nDevEUI,Serial\nA84041FFFF000001,1",
            &[],
            &["line 2: it names no column AppKey; the first line must name the columns"],
        );
        let errors = parse(b"DevEUI,AppKey\n\xff\xfe").errors;
        assert_eq!(errors[0].to_string(), "line 2: not UTF-8; save the list as CSV UTF-8");
    }

    #[test]
    fn a_list_is_bounded() {
        let lines: Vec<String> = (0..ROWS_MAX + 5).map(|n| format!("A84041FF{n:08X},{KEY}\n")).collect();
        let text = format!("DevEUI,AppKey\n{}", lines.concat());
        let got = parse(text.as_bytes());
        assert_eq!((got.rows.len(), got.errors.len()), (ROWS_MAX, 1));
        let long = format!("DevEUI,AppKey\nA84041FFFF000001,{KEY},{}\n", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(parse(long.as_bytes()).errors[0].problem, Problem::TooLong);
    }
}
