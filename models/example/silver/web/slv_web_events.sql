{{ assay.kept_rows(ref('slv_web_events__checked')) }}
