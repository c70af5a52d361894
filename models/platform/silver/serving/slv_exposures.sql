{{ kept_rows(ref('slv_exposures__checked')) }}
