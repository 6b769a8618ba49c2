#!/bin/sh
# timeout: 2
sleep 1000
