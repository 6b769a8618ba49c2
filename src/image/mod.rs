//! Images: an image is written by strangers, and every byte of it is hostile input.

pub mod unpack;
