# By CPU alone: a trust's long poll is a request that costs next to nothing, so counting requests would say nothing.
resource "aws_appautoscaling_target" "hub" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.hub.name}"
  min_capacity       = var.hub.min
  max_capacity       = var.hub.max
}

resource "aws_appautoscaling_policy" "hub" {
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.hub.service_namespace
  scalable_dimension = aws_appautoscaling_target.hub.scalable_dimension
  resource_id        = aws_appautoscaling_target.hub.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_out_cooldown = 60
    scale_in_cooldown  = 600 # fewer tasks end uploads

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
