{{ rejected_rows(ref('slv_predictions__checked'), ref('brz_serving__predictions'), ref('slv_rules')) }}
