//! Parses, dispatches, prints the error and its hint, exits.
fn main() {
    match pinfold::cli::parse_from(std::env::args_os()) {
        Ok(cli) => println!("{cli:?}"),
        Err(e) => {
            let _x = e.print();
        }
    }
}
