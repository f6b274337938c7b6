locals {
  offered = [for type in local.table : type if length(var.families) == 0 || contains(var.families, split(".", type.name)[0])]
  fitting = {
    for place, type in local.offered :
    format("%02d/%04d/%05d/%04d/%03d", type.gpus, type.gpu_memory_gb, type.memory_gb, type.vcpus, place) => type.name
    if type.gpus >= var.gpus && type.gpu_memory_gb >= var.gpu_memory_gb && type.memory_gb >= var.memory_gb
  }
  smallest = try(local.fitting[sort(keys(local.fitting))[0]], "")
  there_is = join(", ", distinct([for type in local.offered : "${type.gpus} x ${type.gpu_memory_gb} GiB"]))
}
