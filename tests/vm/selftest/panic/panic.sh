#!/bin/sh
# The machine dies: no summary follows.
echo c >/proc/sysrq-trigger
