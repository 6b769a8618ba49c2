//! Writes archives: of a directory, as a layer, and of a layout, as one file. The same input
//! gives the same bytes: entries are sorted, and nothing of the machine gets in.

mod attributes;
mod header;
mod tree;

pub use attributes::Attributes;
pub use header::{Entry, Kind, pad, write_end, write_entry};
pub use tree::{Form, Packed, Times, pack};
