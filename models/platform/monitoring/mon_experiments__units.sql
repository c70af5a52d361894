-- depends_on: {{ ref('slv_exposures') }}
{% set experiments = experiments_read() %}
{% if experiments %}

    {{ experiment_units(ref('slv_exposures'), experiments) }}

{% else %}

    {{ no_rows() }}

{% endif %}
