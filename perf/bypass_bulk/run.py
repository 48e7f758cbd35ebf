#!/usr/bin/env python3
"""Compares the DPDK engine's TCP with Linux's CUBIC: one stream to one receiver on the kernel's TCP, over a wire with delay and loss.

Both senders use the same wire (build/wire) between two taps, in network namespaces that this script makes and takes away. The runs alternate;
the result is the median of the ratios, with the smallest and the largest. Needs root.

    perf/bypass_bulk/run.py --pairs 7 --delay 50ms --loss 0.0001 --rate 200M --queue 2500k
"""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'build')
NEAR, FAR = 'bulk-near', 'bulk-far'


def command(*words, namespace=None, **more):
    prefix = ['ip', 'netns', 'exec', namespace] if namespace else []
    return subprocess.run(prefix + list(words), check=True, text=True, **more)


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start(stack, *words, namespace):
    """Starts a program that ends with the stack."""
    process = subprocess.Popen(['ip', 'netns', 'exec', namespace, *words], stdout=subprocess.DEVNULL)
    stack.callback(stop, process)
    return process


def wait_for(namespace, interface, process):
    for _ in range(100):
        if process.poll() is not None:
            break
        if subprocess.run(['ip', '-n', namespace, 'link', 'show', interface], capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    sys.exit(f'{interface} does not appear')


def receive(options):
    """Bits per second, as the receiver counts them."""
    words = (os.path.join(BUILD, 'bypass_bulk'), 'receive', '198.18.0.2:7000', str(options.seconds))
    return float(command(*words, namespace=NEAR, capture_output=True, timeout=options.seconds + 60).stdout)


def wire(options, stack, *ends):
    words = [os.path.join(BUILD, 'wire'), '--delay', options.delay, '--loss', options.loss, '--seed', str(options.seed)]
    words += ['--rate', options.rate, '--queue', options.queue]
    return start(stack, *words, *ends, namespace=NEAR)


def set_up_receiver(joint):
    wait_for(NEAR, 'near', joint)
    command('ip', 'addr', 'add', '198.18.0.1/24', 'dev', 'near', namespace=NEAR)
    command('ip', 'link', 'set', 'near', 'up', namespace=NEAR)
    command('sysctl', '-qw', 'net.ipv4.tcp_rmem=4096 131072 67108864', namespace=NEAR)


def measure_engine(options, stack):
    sender = start(stack, os.path.join(BUILD, 'bypass_bulk'), 'serve', 'far', '198.18.0.2/24', '7000', namespace=NEAR)
    wait_for(NEAR, 'far', sender)
    command('ip', 'link', 'set', 'far', 'up', namespace=NEAR)
    joint = wire(options, stack, 'far', 'tap:near')
    set_up_receiver(joint)
    time.sleep(2)
    return receive(options)


def measure_kernel(options, stack):
    """The sender's interface is a tap whose other end is the wire's, as the engine's is; it lives in a namespace of its own."""
    joint = wire(options, stack, 'tap:far', 'tap:near')
    wait_for(NEAR, 'far', joint)
    command('ip', 'link', 'set', 'far', 'netns', FAR, namespace=NEAR)
    command('ip', 'addr', 'add', '198.18.0.2/24', 'dev', 'far', namespace=FAR)
    command('ip', 'link', 'set', 'far', 'up', namespace=FAR)
    command('sysctl', '-qw', 'net.ipv4.tcp_wmem=4096 131072 67108864', namespace=FAR)
    set_up_receiver(joint)
    start(stack, os.path.join(BUILD, 'bypass_bulk'), 'serve-kernel', '7000', namespace=FAR)
    time.sleep(2)
    return receive(options)


def measure(role, options):
    with contextlib.ExitStack() as stack:
        return role(options, stack)


def compare(options):
    ratios = []
    for pair in range(options.pairs):
        options.seed = pair + 1
        engine, kernel = measure(measure_engine, options), measure(measure_kernel, options)
        ratios.append(engine / kernel)
        print(f'pair {pair + 1}: engine {engine / 1e6:.1f} Mbit/s, kernel {kernel / 1e6:.1f} Mbit/s, {ratios[-1]:.2f}', flush=True)
    print(f'{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--pairs', type=int, default=7)
    parser.add_argument('--seconds', type=int, default=20, help='of each run; the first fifth is not counted')
    parser.add_argument('--delay', default='50ms', help='of each direction')
    parser.add_argument('--loss', default='0.0001', help='share of the packets')
    parser.add_argument('--rate', default='200M', help='bits per second of the bottleneck')
    parser.add_argument('--queue', default='2500k', help='bytes before the bottleneck')
    options = parser.parse_args()
    for namespace in NEAR, FAR:
        command('ip', 'netns', 'add', namespace)
        command('ip', 'link', 'set', 'lo', 'up', namespace=namespace)
    try:
        compare(options)
    finally:
        for namespace in NEAR, FAR:
            subprocess.run(['ip', 'netns', 'del', namespace])


if __name__ == '__main__':
    main()
