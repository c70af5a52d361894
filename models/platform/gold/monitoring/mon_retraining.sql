{% set training_sets = trainable(names_read('training_sets')) %}
{% if training_sets or not execute %}

    with evidence as (

        select * from {{ ref('mon_retraining__evidence') }}

    ),

    final as (

        {{ retraining_verdicts('evidence', training_sets) }}

    )

    select * from final

{% else %}

    {{ no_rows() }}

{% endif %}
