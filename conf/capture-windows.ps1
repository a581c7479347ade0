# SPDX-License-Identifier: GPL-3.0-or-later
#
# What Windows sees of its hardware and of its licence, for pve-hwid. To be run as administrator in
# the guest WHILE IT STILL IS ON VMWARE, with PowerShell 3 or later (Windows 8, Server 2012; Windows
# 7 and Server 2008 R2 come with 2, and get a later one with WMF 3.0 to 5.1):
#
#     powershell -ExecutionPolicy Bypass -File capture-windows.ps1 [-OutFile FILE]
#
# It changes nothing and writes one JSON file; then, on any machine: pve-hwid capture FILE.
# Only properties are read, no printed texts, so the language of Windows does not matter. Of the
# product key only the last five characters are read: Windows itself keeps no more in readable form.
param([string]$OutFile = "$env:COMPUTERNAME-hwid.json")

# PowerShell 2 reads all of this file before it runs the first line: nothing in it may be later than
# its grammar, or this sentence is never said.
if ($PSVersionTable.PSVersion.Major -lt 3) {
    Write-Output "This needs PowerShell 3 or later; here is $($PSVersionTable.PSVersion). Nothing was written."
    Write-Output 'Without it: the .vmx, or dmidecode for Windows, and for the licence: cscript //nologo slmgr.vbs /dlv > licence.txt'
    exit 2
}
Set-StrictMode -Off
$ErrorActionPreference = 'SilentlyContinue'   # what a Windows does not have is null in the file
$windows = '55c92734-d682-4d71-983e-d6ec3f16059f'   # ApplicationID of Windows

# Which device hangs on which: child's PNPDeviceID -> its controller's.
$parents = @{}
foreach ($class in 'Win32_SCSIControllerDevice', 'Win32_IDEControllerDevice') {
    foreach ($pair in @(Get-CimInstance $class)) {
        $parents[$pair.Dependent.DeviceID] = $pair.Antecedent.DeviceID
    }
}

# The PCI device that a disk or CD-ROM drive hangs on; an IDE channel is between them.
function Find-Controller($id) {
    for ($i = 0; $i -lt 8 -and $id -and $id -notlike 'PCI\*'; $i++) { $id = $parents[$id] }
    return $id
}

function Get-Drive($drive) {
    [ordered]@{
        name           = $drive.Caption
        pnp            = $drive.PNPDeviceID
        parent_pnp     = $parents[$drive.PNPDeviceID]
        controller_pnp = Find-Controller $drive.PNPDeviceID
        serial         = $drive.SerialNumber
        bus            = $drive.SCSIBus
        target         = $drive.SCSITargetId
        lun            = $drive.SCSILogicalUnit
    }
}

$permanent = @{}
foreach ($adapter in @(Get-NetAdapter)) {
    if ($adapter.PnPDeviceID) { $permanent[$adapter.PnPDeviceID] = $adapter.PermanentAddress }
}

$system  = Get-CimInstance Win32_ComputerSystemProduct
$bios    = Get-CimInstance Win32_BIOS
$board   = Get-CimInstance Win32_BaseBoard | Select-Object -First 1
$cpus    = @(Get-CimInstance Win32_Processor)
$os      = Get-CimInstance Win32_OperatingSystem
$service = Get-CimInstance SoftwareLicensingService
$product = Get-CimInstance SoftwareLicensingProduct -Filter "ApplicationID='$windows' AND PartialProductKey IS NOT NULL" |
    Where-Object { -not $_.LicenseDependsOn } |   # add-ons such as ESU have keys of their own
    Sort-Object { $_.LicenseStatus -ne 1 } | Select-Object -First 1
$date = $null
if ($bios.ReleaseDate) {
    $date = $bios.ReleaseDate.ToUniversalTime().ToString('MM/dd/yyyy', [Globalization.CultureInfo]::InvariantCulture)
}
$rearms = $product.RemainingSkuReArmCount
if ($null -eq $rearms) { $rearms = $service.RemainingWindowsReArmCount }
$kms = $service.KeyManagementServiceMachine
if (-not $kms) { $kms = $product.DiscoveredKeyManagementServiceMachineName }
if (-not $kms) { $kms = $service.DiscoveredKeyManagementServiceMachineName }

$result = [ordered]@{
    schema       = 'pve-hwid-windows-1'
    computer     = $env:COMPUTERNAME
    os           = $os.Caption
    os_version   = $os.Version
    system       = [ordered]@{
        uuid    = $system.UUID
        vendor  = $system.Vendor
        product = $system.Name
        version = $system.Version
        serial  = $system.IdentifyingNumber
        sku     = $system.SKUNumber
    }
    bios         = [ordered]@{
        vendor  = $bios.Manufacturer
        version = $bios.SMBIOSBIOSVersion
        date    = $date
        serial  = $bios.SerialNumber
        major   = $bios.SMBIOSMajorVersion
        minor   = $bios.SMBIOSMinorVersion
    }
    board        = [ordered]@{
        vendor  = $board.Manufacturer
        product = $board.Product
        version = $board.Version
        serial  = $board.SerialNumber
    }
    # 24 and 45: remembered, but not there any more
    nics         = @(Get-CimInstance Win32_NetworkAdapter |
        Where-Object { $_.PNPDeviceID -like 'PCI\*' -and (24, 45 -notcontains $_.ConfigManagerErrorCode) } | ForEach-Object {
        [ordered]@{
            name          = $_.Name
            pnp           = $_.PNPDeviceID
            mac           = $_.MACAddress
            permanent_mac = $permanent[$_.PNPDeviceID]
        }
    })
    disks        = @(Get-CimInstance Win32_DiskDrive | Sort-Object Index | ForEach-Object { Get-Drive $_ })
    cdroms       = @(Get-CimInstance Win32_CDROMDrive | ForEach-Object { Get-Drive $_ })
    controllers  = @(@(Get-CimInstance Win32_SCSIController) + @(Get-CimInstance Win32_IDEController) |
        Where-Object { $_.PNPDeviceID -like 'PCI\*' } | ForEach-Object {
            [ordered]@{
                name = $_.Name
                pnp  = $_.PNPDeviceID
            }
        })
    video        = @(Get-CimInstance Win32_VideoController | ForEach-Object {
        [ordered]@{
            name = $_.Name
            pnp  = $_.PNPDeviceID
        }
    })
    cpu          = [ordered]@{
        name    = $cpus[0].Name
        sockets = $cpus.Count
        cores   = $cpus[0].NumberOfCores
    }
    memory_bytes = (Get-CimInstance Win32_PhysicalMemory | Measure-Object Capacity -Sum).Sum
    license      = [ordered]@{
        name          = $product.Name
        description   = $product.Description
        channel       = $product.ProductKeyChannel
        status        = $product.LicenseStatus
        partial_key   = $product.PartialProductKey
        rearms        = $rearms
        grace_minutes = $product.GracePeriodRemaining
        kms_host      = $kms
    }
}

$json = ConvertTo-Json -InputObject $result -Depth 6
$path = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($OutFile)
try {
    [IO.File]::WriteAllText($path, $json, (New-Object Text.UTF8Encoding($false)))
} catch {
    Write-Error "Could not write ${path}: $_" -ErrorAction Continue
    exit 1
}
if (-not $system.UUID -or -not $product) {
    Write-Warning 'UUID or licence could not be read: was this run as administrator?'
}
Write-Output "Wrote $path. Next: pve-hwid capture $(Split-Path -Leaf $path)"
