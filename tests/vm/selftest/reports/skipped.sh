#!/bin/sh
. /lib/vm/case.sh
skip "needs what no machine has"
