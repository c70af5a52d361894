{% macro drift_limits() -%}
    {%- set limits = {
        'psi_drift': 0.2,
        'psi_watch': 0.1,
        'ks_drift': 0.2,
        'ks_watch': 0.1,
        'null_drift': 0.1,
        'null_watch': 0.05,
        'false_discoveries': 0.01,
        'fewest_rows': 30,
        'fewest_windows': 3,
        'usual_times': 1.5,
        'usual_deviations': 3,
        'most_categories': 100,
    } -%}
    {%- for name in var('drift_limits', {}) if name not in limits -%}
        {%- do assay._refuse('drift_limits has ' ~ name ~ ': allowed are ' ~ limits | join(', ')) -%}
    {%- endfor -%}
    {{ return(dict(limits, **var('drift_limits', {}))) }}
{%- endmacro %}
