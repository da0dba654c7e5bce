//! PID 1 that hands secrets to an unchanged program
