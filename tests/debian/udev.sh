# What udev makes of the usual USB adapters. Sourced by tests/packages.
# shellcheck shell=bash disable=SC2154 # the caller's variables

# Adapter: name of the kernel, vendor, product, the link it must get ("-": none).
ADAPTERS='
ttyUSB0 10c4 ea60 frostguard-lora0
ttyUSB1 1a86 7523 frostguard-lora1
ttyACM0 1a86 55d4 frostguard-lora10
ttyUSB2 0403 6001 frostguard-lora2
ttyUSB3 067b 23a3 frostguard-lora3
ttyACM1 303a 1001 frostguard-lora11
ttyACM2 0483 5740 frostguard-lora12
ttyUSB4 2c7c 0125 -
ttyUSB5 12d1 1506 -
'

# An adapter below the root's own /sys, as the kernel shows one: device, interface, port.
show_adapter() { # name vendor product
    local device=$here/sys/devices/usb1/$1 major=188 number=${1//[^0-9]/}
    case $1 in ttyACM*) major=166 ;; esac
    mkdir -p "$device/1-1:1.0/tty/$1" "$here/sys/class/tty" "$here/sys/bus/usb"
    ln -sfn ../../../bus/usb "$device/subsystem"
    printf '%s\n' "$2" >"$device/idVendor"
    printf '%s\n' "$3" >"$device/idProduct"
    printf 'DEVTYPE=usb_device\nPRODUCT=%s/%s/0\n' "$2" "$3" >"$device/uevent"
    ln -sfn ../../../../bus/usb "$device/1-1:1.0/subsystem"
    printf 'DEVTYPE=usb_interface\n' >"$device/1-1:1.0/uevent"
    ln -sfn ../../../../../../class/tty "$device/1-1:1.0/tty/$1/subsystem"
    printf '%s:%s\n' "$major" "$number" >"$device/1-1:1.0/tty/$1/dev"
    printf 'MAJOR=%s\nMINOR=%s\nDEVNAME=%s\n' "$major" "$number" "$1" >"$device/1-1:1.0/tty/$1/uevent"
    ln -sfn "../../devices/usb1/$1/1-1:1.0/tty/$1" "$here/sys/class/tty/$1"
}

test_udev() {
    say "$arch: the rules for udev"
    local name vendor product link
    while read -r name vendor product link; do
        [ -n "$name" ] || continue
        show_adapter "$name" "$vendor" "$product"
    done <<<"$ADAPTERS"
    # Its links go into a /dev of its own, which ends with it; this /sys is a folder, not the kernel's.
    env -i PATH="$PATH" SYSTEMD_DEVICE_VERIFY_SYSFS=0 HERE="$here" ADAPTERS="$ADAPTERS" unshare --mount sh -euc '
        mount -t tmpfs tmpfs "$HERE/dev"
        mkdir -p "$HERE/run/udev"
        echo "$ADAPTERS" | while read -r name vendor product link; do
            [ -n "$name" ] || continue
            echo "adapter $name $vendor:$product"
            path=$(readlink -f "$HERE/sys/class/tty/$name")
            mknod "$HERE/dev/$name" c $(tr : " " <"$path/dev")
            chroot "$HERE" udevadm test --action=add "${path#"$HERE"}" 2>&1 | grep -E "^(DEVLINKS|ID_MM_DEVICE_IGNORE)=" || true
            for link in "$HERE"/dev/frostguard-*; do
                [ ! -L "$link" ] || echo "link $(readlink "$link") ${link##*/}"
                rm -f "$link"
            done
        done' >"$scratch/udev.log"
    while read -r name vendor product link; do
        [ -n "$name" ] || continue
        local said
        said=$(sed -n "/^adapter $name /,/^adapter /p" "$scratch/udev.log" | grep -v '^adapter' || true)
        if [ "$link" = - ]; then
            expect "$vendor:$product ($name) is left alone" sh -c '! printf "%s" "$0" | grep -q -e frostguard -e ID_MM' "$said"
        else
            expect "$vendor:$product ($name) is /dev/$link" grep -qE "(^DEVLINKS=.*/dev/$link( |\$))|(^link $name $link\$)" <<<"$said"
            expect "and is left alone by ModemManager" grep -qx "ID_MM_DEVICE_IGNORE=1" <<<"$said"
        fi
    done <<<"$ADAPTERS"
    rm -rf "$here"/sys/{devices,class,bus} "$here/run/udev"
}
