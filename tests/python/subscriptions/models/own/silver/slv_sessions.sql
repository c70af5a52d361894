{{ kept_rows(ref('slv_sessions__checked')) }}
