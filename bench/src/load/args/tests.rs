use super::*;

fn size(sessions: u32, processes: Option<u32>) -> Size {
    Size {
        sessions: NonZeroU32::new(sessions).unwrap(),
        processes: processes.and_then(NonZeroU32::new),
        encoding: Coding::Json,
        in_flight: NonZeroU32::new(100).unwrap(),
        connect_rate: NonZeroU32::new(500),
        deadline: Duration::from_secs(1),
    }
}

const LOAD: Load<'static> = Load {
    places: &[],
    credentials: &Credentials::Nobody,
    users: String::new(),
    topic: None,
    audience: Audience::Nobody,
    ring_topic: None,
    steady: u64::MAX,
    slow: u64::MAX,
    sources: None,
    files: 20_000,
    lost: Lost::Gone,
    seed: 1,
};

#[test]
fn there_are_as_many_processes_as_the_file_limit_asks_for_and_each_has_its_share() {
    for (sessions, asked, processes) in [
        (1, None, 1),
        (19_936, None, 1),
        (19_937, None, 2),
        (1_000_000, None, 51),
        (10, Some(3), 3),
        (2, Some(9), 2),
    ] {
        let jobs = size(sessions, asked).jobs(&LOAD).unwrap();

        assert_eq!(jobs.len(), processes, "{sessions} sessions");
        let mut next = 0;
        for job in &jobs {
            assert_eq!(job.first, next);
            next += u64::from(job.sessions);
            assert!(
                u64::from(job.sessions) + OTHER_FILES <= LOAD.files && job.sessions > 0 && job.in_flight > 0
            );
        }
        assert_eq!(next, u64::from(sessions));
    }
}

#[test]
fn too_few_files_are_refused_with_what_to_do() {
    let refused = size(30_000, Some(1)).jobs(&LOAD).unwrap_err().to_string();
    assert!(refused.contains("20000 a process") && refused.contains("so 2 are needed"), "{refused}");
    let refused = size(5_200_000, None).jobs(&LOAD).unwrap_err().to_string();
    assert!(refused.contains("need 261 processes") && refused.contains("more than 256"), "{refused}");
    assert!(size(39_488, None).check_own(2, 20_000).is_ok());
    let refused = size(20_000, None).check_own(1, 20_000).unwrap_err().to_string();
    assert!(refused.contains("19744 at most") && refused.contains("--url"), "{refused}");
}

#[test]
fn there_are_as_many_bare_loops_as_the_file_limit_asks_for_or_as_were_asked_for() {
    let loops = |sessions, asked: Option<u32>, files| {
        let loops = size(sessions, None).bare_loops(asked.and_then(NonZeroU32::new), files);
        loops.map(NonZeroU32::get).map_err(|error| error.to_string())
    };
    let of = [1, 19_744, 19_745, 100_000, 1_000_000].map(|sessions| loops(sessions, None, 20_000));
    assert_eq!(of, [1, 1, 2, 6, 51].map(Ok));
    assert_eq!([loops(10, Some(3), 20_000), loops(2, Some(9), 20_000)], [Ok(3), Ok(2)]);

    let refused = loops(20_000, Some(1), 20_000).unwrap_err();
    assert!(refused.contains("--bare-loops 1") && refused.contains("so 2 are needed"), "{refused}");
    let refused = loops(4_000_000, None, 20_000).unwrap_err();
    assert!(refused.contains("need 203 bare loops") && refused.contains("more than 200"), "{refused}");
    assert!(refused.contains("--sessions") && refused.contains("--no-reference"), "{refused}");
    let refused = loops(1, None, 256).unwrap_err();
    assert!(
        refused.contains("of which a bare loop needs 256") && refused.contains("--no-reference"),
        "{refused}"
    );
}

#[test]
fn rates_have_a_bound_below_which_moments_differ_and_no_product_is_too_large() {
    assert_eq!(per_second("1000000").unwrap().get(), 1_000_000);
    for bad in ["0", "1000001", "4294967295", "-1", "x"] {
        assert_eq!(per_second(bad).unwrap_err(), "must be 1 to 1000000", "{bad}");
    }
}
