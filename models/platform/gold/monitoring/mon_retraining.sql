{% set training_sets = trainable(names_read('training_sets')) %}
{% if training_sets or not execute %}

    with evidence as (

        {{ retraining_evidence(
            training_sets,
            clock='select max(known_until) from ' ~ ref('mon_freshness'),
            drift=ref('mon_feature_drift'),
            predictions=ref('mon_predictions'),
        ) }}

    ),

    final as (

        {{ retraining_verdicts('evidence', training_sets) }}

    )

    select * from final

{% else %}

    {{ no_rows() }}

{% endif %}
