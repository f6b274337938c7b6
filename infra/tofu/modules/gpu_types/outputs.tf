output "instance_type" {
  description = "The smallest type that fits: the fewest GPUs, then the least memory of a GPU, then the least memory, then the fewest vCPUs."
  value       = local.smallest

  precondition {
    condition     = local.smallest != ""
    error_message = "No type of EC2 has ${var.gpus} GPUs of ${var.gpu_memory_gb} GiB and ${var.memory_gb} GiB of memory. There is: ${local.there_is}. Ask for less, or name further families."
  }
}

output "table" {
  description = "All types it chooses from."
  value       = local.table
}
