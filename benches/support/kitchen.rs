//! Sensors of a bench's kitchen, as `tests/sync/past.rs` wants them.

pub fn eui(sensor: usize) -> String {
    format!("70B3D57ED000{sensor:04X}")
}

/// `number` counts the sensor's lines.
pub fn line(number: u32, sensor: usize, hundredths: i32) -> String {
    let celsius = f64::from(hundredths) / 100.0;
    format!("{{\"id\":\"{}\",\"temperature_c\":{celsius},\"counter\":{number}}}\n", eui(sensor))
}
