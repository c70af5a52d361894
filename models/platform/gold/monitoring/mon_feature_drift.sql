{% set views = names_read('feature_views') %}
{% if views %}
    {{ feature_drift(
        views=views,
        training_sets=trainable(names_read('training_sets')),
        months=var('drift_months'),
        rows=var('drift_rows')
    ) }}
{% else %}
    {{ no_rows() }}
{% endif %}
