{% macro drift_limits() -%}
    {{ return(dict({
        'psi_drift': 0.2,
        'psi_watch': 0.1,
        'ks_drift': 0.2,
        'ks_watch': 0.1,
        'null_drift': 0.1,
        'null_watch': 0.05,
        'false_discoveries': 0.01,
        'fewest_rows': 30,
        'most_categories': 100,
    }, **var('drift_limits', {}))) }}
{%- endmacro %}
