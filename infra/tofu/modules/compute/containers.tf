# What containers of all tasks have in common. Fargate's volumes belong to root: `folders` gives them to the service's user.
locals {
  mounts = {
    config      = { sourceVolume = "config", containerPath = "/config", readOnly = false }
    config_read = { sourceVolume = "config", containerPath = "/config", readOnly = true }
    data        = { sourceVolume = "data", containerPath = "/data", readOnly = false }
    tmp         = { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }
  }

  folders = {
    name                   = "folders"
    image                  = var.images.hub
    essential              = false
    user                   = "0"
    readonlyRootFilesystem = true
    entryPoint             = ["chown"]
    environment            = []
    portMappings           = []
    volumesFrom            = []
    systemControls         = []
  }

  config = {
    name                   = "config"
    image                  = var.images.hub
    essential              = false
    user                   = "0"
    readonlyRootFilesystem = true
    environment            = [{ name = "AWS_DEFAULT_REGION", value = var.region }]
    mountPoints            = [local.mounts.config]
    portMappings           = []
    volumesFrom            = []
    systemControls         = []
  }

  service = {
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = !var.execute_command # the agent of ECS Exec writes to it
    stopTimeout            = 30
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"], add = [] } }
    volumesFrom            = []
    systemControls         = []
    dependsOn = [
      for first in ["folders", "config"] : { containerName = first, condition = "SUCCESS" }
    ]
  }
}
