{{ kept_rows(ref('slv_predictions__checked')) }}
