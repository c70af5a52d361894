{{ assay.point_in_time_join("read_parquet('questions.parquet')", 'asked_at', [{
    'relation': "read_parquet('values.parquet')",
    'entity_keys': ['card_id'],
    'columns': ['amount'],
}]) }}
