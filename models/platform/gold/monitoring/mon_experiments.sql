-- depends_on: {{ ref('mon_experiments__units') }}
{% set experiments = experiments_read() %}
{% if experiments %}

    with units as (

        select * from {{ ref('mon_experiments__units') }}

    ),

    final as (

        {{ experiment_looks('units', experiments) }}

    )

    select * from final

{% else %}

    {{ no_rows() }}

{% endif %}
