{%- set features = [] -%}
{%- for name in ('values', 'second_values', 'third_values') -%}
    {%- do features.append({
        'relation': "read_parquet('" ~ name ~ ".parquet')",
        'entity_keys': ['card_id'],
        'columns': ['amount'],
        'prefix': name ~ '_',
    }) -%}
{%- endfor -%}
{{ assay.point_in_time_join("read_parquet('questions.parquet')", 'asked_at', features) }}
