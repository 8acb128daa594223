#!/usr/bin/env bash
# A real Slurm of two nodes on this machine, without systemd, cgroups or an accounting database:
#   tests/cluster/slurm.sh start DIR
#   tests/cluster/slurm.sh stop DIR
# Needs Debian's slurm-wlm and munge, and root. All of it lives in DIR but for one link, /etc/slurm/slurm.conf, because
# Snakemake's plugin drops SLURM_CONF from the environment of its job steps. Where it is another Slurm's, it stays.
set -euo pipefail
link=/etc/slurm/slurm.conf
mark="# Written by tests/cluster/slurm.sh for one test run."

fail() {
    echo "slurm.sh: $*" >&2
    exit 1
}

configure() {
    local host user
    host=$(hostname -s)
    user=$(id -un)
    # linuxproc and task/none ask for neither cgroups nor cpusets; MinJobAge keeps ended jobs visible to squeue; jobs
    # are short here, hence the intervals of the scheduler; config_overrides lets the nodes be other than written
    cat >"$folder/slurm.conf" <<EOF
$mark
ClusterName=genovision
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/controller
SlurmdSpoolDir=$folder/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
ReturnToService=2
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=30
InactiveLimit=0
KillWait=5
MpiDefault=none
JobRequeue=1
SlurmdParameters=config_overrides
NodeName=n[1-2] NodeHostname=$host NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
EOF
}

start() {
    local needed
    for needed in munged slurmctld slurmd sinfo; do
        if ! type -P "$needed" >/dev/null; then
            fail "$needed is missing; install Debian's packages slurm-wlm and munge."
        fi
    done
    if [ -L "$link" ] && grep -qsxF "$mark" "$link"; then # left by a test run that was killed
        (folder=$(dirname -- "$(readlink -- "$link")") && stop)
    fi
    if [ -L "$link" ] && [ ! -e "$link" ]; then rm -- "$link"; fi
    if [ -e "$link" ]; then fail "a Slurm is configured here already, see $link."; fi
    mkdir -p -- "$folder"
    folder=$(cd -- "$folder" && pwd)
    chmod 755 "$folder" # munged refuses a folder that others could write into
    mkdir -p "$folder/controller" "$folder/n1" "$folder/n2"
    (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
    # --force: it warns instead of stopping where a folder above belongs to somebody else
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" 2>>"$folder/munged.err"
    configure
    ln -s -- "$folder/slurm.conf" "$link"
    slurmctld
    slurmd -N n1
    slurmd -N n2
    for _ in $(seq 60); do
        if [ "$(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | sort -u | wc -l)" = 2 ]; then
            sinfo --Node
            return
        fi
        sleep 0.5
    done
    fail "the nodes are not idle after 30 s; $folder holds the logs."
}

# Ends each daemon by the id in its file, if that id still is that daemon, and waits for it.
stop() {
    local daemon pid signal
    if [ "$link" -ef "$folder/slurm.conf" ]; then timeout 10 scancel --quiet --user "$(id -un)" 2>/dev/null || true; fi
    for daemon in slurmd.n1 slurmd.n2 slurmctld munged; do
        pid=$(cat "$folder/$daemon.pid" 2>/dev/null) || continue
        for signal in TERM TERM TERM TERM TERM TERM TERM TERM TERM TERM KILL; do
            [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "${daemon%%.*}" ] || break
            kill -"$signal" "$pid" 2>/dev/null || break
            sleep 0.5
        done
    done
    if [ "$link" -ef "$folder/slurm.conf" ]; then rm -- "$link"; fi
}

folder=${2-}
case ${1-}:$folder in
start:?* | stop:?*) "$1" ;;
*) fail "usage: slurm.sh start DIR, or slurm.sh stop DIR." ;;
esac
