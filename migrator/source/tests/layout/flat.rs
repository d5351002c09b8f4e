//! The flat layout: versions, order, down scripts.

use migrator_source::layout::Options;

use crate::{SQL, check, read};

#[test]
fn the_version_is_the_digits_at_the_front() {
    let names = [
        // sqlx
        ("20240131120000_users.sql", "20240131120000", "20240131120000_users"),
        ("20240131120000_users.up.sql", "20240131120000", "20240131120000_users"),
        ("20240131120000_users-and-groups.sql", "20240131120000", "20240131120000_users-and-groups"),
        ("20240131120000_ends_in_.sql", "20240131120000", "20240131120000_ends_in_"),
        // refinery and Flyway
        ("V1__users.sql", "1", "V1__users"),
        ("V0001__users.sql", "0001", "V0001__users"),
        // golang-migrate
        ("000001_users.up.sql", "000001", "000001_users"),
        ("1700000000_users.up.sql", "1700000000", "1700000000_users"),
        // each separator
        ("0001__users.sql", "0001", "0001__users"),
        ("0001-users.sql", "0001", "0001-users"),
        ("0001.users.sql", "0001", "0001.users"),
        ("V0001.Users.up.sql", "0001", "V0001.Users"),
        ("0001.2fa.up.sql", "0001", "0001.2fa"),
        ("0001-2_factors.sql", "0001", "0001-2_factors"),
        ("0001-2fa.sql", "0001", "0001-2fa"),
        ("0001_2_factors.sql", "0001", "0001_2_factors"),
        ("0001.sql", "0001", "0001"),
        ("0_zero.sql", "0", "0_zero"),
        // dates
        ("2024-01-31-120000_users.sql", "20240131120000", "2024-01-31-120000_users"),
        ("2024-01-31_users.sql", "20240131", "2024-01-31_users"),
        ("2024-01-31.sql", "20240131", "2024-01-31"),
        // more than any integer holds
        ("123456789012345678901234567890_x.sql", "123456789012345678901234567890", "123456789012345678901234567890_x"),
    ];
    for (file, version, name) in names {
        check(Options::default(), &[(file, &[(file, SQL)], &[&format!("{version} | {name} | {file} | -")])]);
    }
}

#[test]
fn a_version_in_parts_is_refused() {
    let names = [
        ("V1.1__users.sql", "1.1"),
        ("V1_1__users.sql", "1_1"),
        ("V1.2.3__users.sql", "1.2"),
        ("1.1_users.sql", "1.1"),
        ("1.1.sql", "1.1"),
    ];
    for (file, parts) in names {
        let fault = format!("version_parts dir/{file}: the version {parts} has parts");
        check(
            Options::default(),
            &[("alone", &[(file, SQL)], &[&fault]), ("beside another", &[(file, SQL), ("V2__b.sql", SQL)], &[&fault])],
        );
    }
}

#[test]
fn numbers_run_in_the_order_of_numbers() {
    let orders: &[&[&str]] = &[
        &["V1__a.sql", "V2__b.sql", "V9__c.sql", "V10__d.sql", "V26__e.sql", "V100__f.sql"],
        &["9_a.sql", "0010_b.sql", "11_c.sql"],
        &["0_a.sql", "1_b.sql"],
        &["99999999999999999999_a.sql", "100000000000000000000_b.sql"],
        &["2024-01-31_a.sql", "20240201_b.sql", "2024-01-31-120000_c.sql"],
    ];
    for order in orders {
        let files: Vec<_> = order.iter().rev().map(|file| (*file, SQL)).collect();
        let folder = read(&files);
        let found: Vec<_> = folder.entries.iter().map(|entry| entry.up_path.as_str()).collect();
        assert_eq!(found, *order);
    }
}

#[test]
fn a_down_script_has_the_version_and_the_name_of_its_up_script() {
    let unpaired = |words: &str| format!("~ {words}; it is not used");
    check(
        Options::default(),
        &[
            ("sqlx", &[("1_a.down.sql", SQL), ("1_a.up.sql", SQL)], &["1 | 1_a | 1_a.up.sql | 1_a.down.sql"]),
            ("beside a plain name", &[("1_a.down.sql", SQL), ("1_a.sql", SQL)], &["1 | 1_a | 1_a.sql | 1_a.down.sql"]),
            ("refinery", &[("U1__a.sql", SQL), ("V1__a.sql", SQL)], &["1 | V1__a | V1__a.sql | U1__a.sql"]),
            (
                "both with V",
                &[("V0001.A.down.sql", SQL), ("V0001.A.up.sql", SQL)],
                &["0001 | V0001.A | V0001.A.up.sql | V0001.A.down.sql"],
            ),
            (
                "another name",
                &[("1_a.up.sql", SQL), ("1_b.down.sql", SQL)],
                &[
                    "1 | 1_a | 1_a.up.sql | -",
                    &unpaired("a down script belongs to no up script of its version and name: 1_b.down.sql"),
                ],
            ),
            (
                "no up script",
                &[("1_a.up.sql", SQL), ("2_b.down.sql", SQL), ("U3__c.sql", SQL)],
                &[
                    "1 | 1_a | 1_a.up.sql | -",
                    &unpaired("2 down scripts belong to no up script of their version and name, first 2_b.down.sql"),
                ],
            ),
            (
                "two for one version",
                &[("0001_a.down.sql", SQL), ("0001_a.up.sql", SQL), ("1_a.down.sql", SQL)],
                &[
                    "0001 | 0001_a | 0001_a.up.sql | 0001_a.down.sql",
                    &unpaired("a down script belongs to no up script of its version and name: 1_a.down.sql"),
                ],
            ),
            (
                "U without V",
                &[("1__a.sql", SQL), ("U1__a.sql", SQL)],
                &[
                    "1 | 1__a | 1__a.sql | -",
                    &unpaired("a down script belongs to no up script of its version and name: U1__a.sql"),
                ],
            ),
            (
                "U and down",
                &[("U1__a.down.sql", SQL), ("V1__a.sql", SQL)],
                &[
                    "1 | V1__a | V1__a.sql | -",
                    &unpaired("a down script belongs to no up script of its version and name: U1__a.down.sql"),
                ],
            ),
        ],
    );
}
